"""Fetches one object from S3 in the name of the instance's role: fetch.py BUCKET KEY SHA256 FILE

For images with cloud-init, which brings Python, and nothing else to ask S3 with. The credentials come from the
metadata service (IMDSv2) and stay in this process. What arrives is known by its SHA-256, or is not kept.
"""

import hashlib
import hmac
import json
import os
import ssl
import sys
import time
import urllib.parse
import urllib.request
from datetime import datetime, timezone

# All of it, from the first question on.
SECONDS = 180
EMPTY = hashlib.sha256(b"").hexdigest()


class Wrong(Exception):
    """What no further try makes right."""


def metadata(base, opener):
    """A function that reads paths of the metadata service."""
    ask = urllib.request.Request(base + "/latest/api/token", method="PUT")
    ask.add_header("X-aws-ec2-metadata-token-ttl-seconds", "300")
    token = opener.open(ask, timeout=5).read().decode()

    def read(path):
        get = urllib.request.Request(base + "/latest/meta-data/" + path)
        get.add_header("X-aws-ec2-metadata-token", token)
        return opener.open(get, timeout=5).read().decode()

    return read


def signed(url, region, credentials, now):
    """Headers of a signed GET (Signature Version 4)."""
    parts = urllib.parse.urlsplit(url)
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "host": parts.netloc,
        "x-amz-content-sha256": EMPTY,
        "x-amz-date": stamp,
        "x-amz-security-token": credentials["Token"],
    }
    names = ";".join(sorted(headers))
    lines = "".join("%s:%s\n" % (name, headers[name]) for name in sorted(headers))
    request = "\n".join(["GET", parts.path, "", lines, names, EMPTY])
    scope = [stamp[:8], region, "s3", "aws4_request"]
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, "/".join(scope), hashlib.sha256(request.encode()).hexdigest()])
    key = ("AWS4" + credentials["SecretAccessKey"]).encode()
    for part in scope:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    who = "%s/%s" % (credentials["AccessKeyId"], "/".join(scope))
    headers["authorization"] = "AWS4-HMAC-SHA256 Credential=%s, SignedHeaders=%s, Signature=%s" % (who, names, signature)
    return headers


def fetch(bucket, key, sha256, to, environment, now):
    """One try."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    read = metadata(environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254").rstrip("/"), direct)
    region = read("placement/region")
    role = read("iam/security-credentials/").split("\n")[0]
    credentials = json.loads(read("iam/security-credentials/" + role))
    base = environment.get("AWS_ENDPOINT_URL") or "https://s3.%s.%s" % (region, read("services/domain"))
    url = "%s/%s/%s" % (base.rstrip("/"), bucket, urllib.parse.quote(key, safe="/-_.~"))
    context = ssl.create_default_context(cafile=environment.get("AWS_CA_BUNDLE") or None)
    # HTTPS_PROXY and NO_PROXY are the standard library's own.
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    found = hashlib.sha256()
    get = urllib.request.Request(url, headers=signed(url, region, credentials, now))
    with opener.open(get, timeout=30) as answer, open(to + ".part", "wb") as file:
        for chunk in iter(lambda: answer.read(1 << 20), b""):
            found.update(chunk)
            file.write(chunk)
    if found.hexdigest() != sha256:
        os.remove(to + ".part")
        raise Wrong("s3://%s/%s: found the SHA-256 %s, expected %s" % (bucket, key, found.hexdigest(), sha256))
    os.rename(to + ".part", to)


def main(arguments):
    """Tries until it is here, or the time is over."""
    bucket, key, sha256, to = arguments
    end = time.monotonic() + SECONDS
    pause = 0.2
    while True:
        try:
            return fetch(bucket, key, sha256, to, os.environ, datetime.now(timezone.utc))
        except Wrong as error:
            sys.exit("fetch: %s" % error)
        except (OSError, ValueError, KeyError) as error:
            # A role that has just been attached has no credentials for some seconds, and S3 may be slow to know it.
            last = "s3://%s/%s: %s: %s" % (bucket, key, type(error).__name__, error)
        if time.monotonic() + pause > end:
            sys.exit("fetch: %s (for %d s)" % (last, SECONDS))
        print("fetch: %s; once more" % last, file=sys.stderr)
        time.sleep(pause)
        pause = min(pause * 2, 10)


if __name__ == "__main__":
    main(sys.argv[1:])
