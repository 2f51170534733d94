"""Follows a stream to its end: python3 follow.py "$(python3 publish.py ...)"

Standard library only. When the connection ends it comes again behind the last event: no gap, no repeat.
"""

import http.client
import json
import random
import sys
import time
import urllib.error
import urllib.request


def messages(response):
    """The server-sent events of a response: (event, id, data). What is cut off in the middle is dropped."""
    event, last_id, data = "message", None, []
    for line in response:
        line = line.decode().rstrip("\r\n")
        if line == "":
            if data:
                yield event, last_id, "\n".join(data)
            event, data = "message", []
            continue
        name, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if name == "event":
            event = value
        elif name == "id":
            last_id = value
        elif name == "data":
            data.append(value)


def follow(url):
    """Frames as (kind, value), the last one ("end", ...)."""
    after, failures = None, 0
    while True:
        headers = {"accept": "text/event-stream"}
        if after is not None:
            headers["last-event-id"] = after
        try:
            # Signs of life come every 15 s: what is silent for longer is gone.
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=40) as response:
                for kind, last_id, data in messages(response):
                    failures = 0
                    if kind == "event":
                        after = last_id
                    if kind != "reset":
                        yield kind, json.loads(data)
                    if kind == "end":
                        return
        except urllib.error.HTTPError as error:
            if error.code < 500:
                sys.exit(error.read().decode())
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(random.random() * min(10, 0.2 * 2**failures))
        failures += 1


if __name__ == "__main__":
    for kind, value in follow(sys.argv[1]):
        if kind == "event":
            print(value["type"], value["id"], json.dumps(value["data"]))
        elif kind == "delivery":
            print(value["subscription"], value["status"], value["reason"])
        else:
            print(kind, value["status"])
