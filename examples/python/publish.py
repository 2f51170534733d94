"""Publishes one event: python3 publish.py http://localhost:8080/v1 OrderPlaced '{"orderId": "o-1", "sku": "cd"}'

Standard library only. Prints the URL of the stream that shows what becomes of it.
"""

import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request


def publish(api, event_type, data_text, tries=5):
    """Answers what the server says. `data_text` is kept byte for byte. Again is safe where the event type has an id."""
    body = '{"type":%s,"data":%s}' % (json.dumps(event_type), data_text)
    url = api + "/events"
    for attempt in range(tries):
        request = urllib.request.Request(url, body.encode(), {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            problem = json.load(error)
            if error.code != 503:
                sys.exit("%s %s" % (problem["code"], problem["detail"]))
        except OSError:
            pass  # no answer: it may be stored or not, so the same is sent again
        time.sleep(2**attempt / 10)
    sys.exit("no answer from " + url)


if __name__ == "__main__":
    api, event_type, data_text = sys.argv[1:]
    accepted = publish(api, event_type, data_text)
    print("duplicate" if accepted["duplicate"] else "stored", accepted["id"], file=sys.stderr)
    print(urllib.parse.urljoin(api + "/", accepted["streamUrl"]))
