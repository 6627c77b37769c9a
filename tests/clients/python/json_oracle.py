"""The oracle of the differential test of JSON: decodes texts with `google.protobuf.json_format`.

The first line of the input is a descriptor set in base64. Every other line is a text to judge, as a JSON object:
`type`; `text` in base64; and if the server accepted the text, `message`, the decoded message, and `encoded`, the JSON
of that message, both in base64. The answer to each is one line: `rejected`, or whether the message and the JSON are
the same as the oracle's.
"""

import base64
import json
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory


def pool(descriptor_set):
    made = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptor_set).file:
        made.Add(file)
    return made


def judge(types, case):
    message_class = message_factory.GetMessageClass(types.FindMessageTypeByName(case["type"]))
    expected = message_class()
    try:
        json_format.Parse(base64.b64decode(case["text"]), expected, descriptor_pool=types)
    except Exception as error:  # every exception means that the text was refused
        return {"rejected": str(error)}
    if case["message"] is None:
        return {"message": True, "json": True}
    found = message_class.FromString(base64.b64decode(case["message"]))
    encoded = base64.b64decode(case["encoded"])
    return {"message": bytes_of(found) == bytes_of(expected), "json": same_json(expected, encoded, types)}


def bytes_of(message):
    return message.SerializeToString(deterministic=True)


def same_json(message, encoded, types):
    try:
        canonical = json_format.MessageToDict(message, descriptor_pool=types)
    except Exception as error:
        return f"the oracle cannot write it: {error}"
    return canonical == json.loads(encoded)


types = pool(base64.b64decode(sys.stdin.readline()))
for line in sys.stdin:
    print(json.dumps(judge(types, json.loads(line))))
