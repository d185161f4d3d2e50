"""Signs a request as AWS's own client for Python would, to compare.

Usage: sigv4.py URL SECRET_KEY REGION < {"headers": {...}, "body": "..."}

Reads from standard input what was sent, with the headers that were signed, and
prints {"steps": {"signed": {"authorization": "..."}}}: the signature that AWS
would compute for it, for the access key `AKIDEXAMPLE` and the service `bedrock`.
"""

import json
import sys

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


class Again(SigV4Auth):
    """Keeps the request's own date and the headers that it names."""

    def _modify_request_before_signing(self, request):
        request.context["timestamp"] = request.headers["x-amz-date"]


def main():
    url, secret, region = sys.argv[1:]
    sent = json.load(sys.stdin)
    request = AWSRequest("POST", url, headers=sent["headers"], data=sent["body"].encode())
    auth = Again(Credentials("AKIDEXAMPLE", secret), "bedrock", region)
    request.context["timestamp"] = sent["headers"]["x-amz-date"]
    text = auth.string_to_sign(request, auth.canonical_request(request))
    names = auth.signed_headers(auth.headers_to_sign(request))
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={auth.scope(request)}, "
        f"SignedHeaders={names}, Signature={auth.signature(text, request)}"
    )
    json.dump({"steps": {"signed": {"authorization": authorization}}}, sys.stdout)


if __name__ == "__main__":
    main()
