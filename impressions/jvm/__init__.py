"""Java, for what needs it: Spark and the local broker.

java           which Java is used, and why another is refused
jars           jars by Maven coordinate, pinned by sha256, kept once per machine
environment    environment variables with which a JVM can name every file; the user it runs as
"""
