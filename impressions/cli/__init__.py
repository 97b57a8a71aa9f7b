"""The `impressions` command: one file per verb, a thin shell over all layers. Nobody imports it.

main     the table of verbs, loaded when called
doctor   checks everything before anything starts
jars     downloads and verifies the pinned jars
config   prints the effective settings
get      asks a server
demo     the whole batch path on a generated year
"""
