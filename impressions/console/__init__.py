"""The web page of a system: the path from topic to answer, and where it is broken.

Reads only, and judges nothing by itself: the stages are those of `impressions status`, the answer
of a profile is that of a server. What each page needs is asked of its part by name, with a
deadline; a part that does not answer says so in its place, and the others stay.

verb              `impressions console`
web_server        the listening: loopback unless allowed, until asked to stop
app               the pages by address; headers, and who may ask
guard             pure: which addresses are loopback, which hosts a browser may name
environment       the name at the head of every page, and its colour
answers           questions with a deadline, their answers kept some seconds, each with its age
sources           which questions there are, and who answers them
page              what every page shows: environment, time, parts with their ages
path_page         the strip: stages of both paths, the first broken one
generations_page  generations, this host, servers
quality_page      a measure of a segment by day, findings marked
rounds_page       reconciliation: rotation, last rounds, named events
jobs_page         the last runs
profile_page      one profile's answer: bars, decay, provenance
look_up           one profile asked of a server
masking           profile ids as people may see them
scales            pure: from numbers to places in a drawing
charts            drawings as SVG: a line of days, curves of decay, a bar
words             numbers, times and ages in words, for templates

The pages are templates/*.html and static/console.css. There is no script.
"""
