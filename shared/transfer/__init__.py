"""A project in files: written whole, and read again, here or on another server; also from dumps of OpenAI's objects.

An export is a directory. Each kind of object (`kinds.py`) has a file of JSON lines: OpenAI's object as the API shows it
in v2's shape, and under `assistantd` the columns that this shape has no room for, or tells in whole seconds. `files/`
holds contents by file id. `manifest.json` is written last: format and version, and of each file of lines its SHA-256,
bytes and objects; the SHA-256 of contents stand in the lines of `files.jsonl`. No vectors and no chunks: files are read
anew where they are imported.

What is written is one consistent view: all lines are read in one transaction that sees the database as it was when it
began. Contents are copied after it; one whose file was deleted meanwhile is named.

An import reads such a directory, or any directory of JSON and JSON lines in which objects are as OpenAI's API returned
them: alone, in lists or in pages. Ids and times are kept. It adds in small commits, objects before those that refer to
them, and changes nothing that is there: an object that is there with the same content is passed over, which is how an
import that was broken off completes; anything else in its place is refused by its id, whoever's it is. What was a run
in progress is kept as `expired`, and is executed by nobody.
"""
