"""Makes one call as another client of the account: call.py ENDPOINT REGION METHOD PARAMETERS, these as JSON."""

import json
import sys

import boto3


def main(endpoint, region, method, parameters):
    client = boto3.client(
        "ec2", endpoint_url=endpoint, region_name=region, aws_access_key_id="call", aws_secret_access_key="call"
    )
    json.dump(getattr(client, method)(**json.loads(parameters)), sys.stdout, default=str)


if __name__ == "__main__":
    main(*sys.argv[1:])
