"""What an account has in some regions, as another client sees it: prints JSON, by region and kind.

  books.py ENDPOINT REGION...
"""

import json
import sys

import boto3


def main(endpoint, *regions):
    books = {}
    for region in regions:
        keys = {"aws_access_key_id": "books", "aws_secret_access_key": "books"}
        client, parameters = (
            boto3.client(service, endpoint_url=endpoint, region_name=region, **keys) for service in ("ec2", "ssm")
        )
        books[region] = {
            "images": [image(client, one) for one in client.describe_images(Owners=["self"])["Images"]],
            "snapshots": [snapshot(client, one) for one in client.describe_snapshots(OwnerIds=["self"])["Snapshots"]],
            "instances": [
                instance(client, one)
                for page in client.get_paginator("describe_instances").paginate()
                for reservation in page["Reservations"]
                for one in reservation["Instances"]
            ],
            "key_pairs": [with_tags(one) for one in client.describe_key_pairs()["KeyPairs"]],
            # Each VPC has one that can't be deleted.
            "security_groups": [
                with_tags(one)
                for one in client.describe_security_groups()["SecurityGroups"] if one["GroupName"] != "default"
            ],
            "volumes": [with_tags(one) for one in client.describe_volumes()["Volumes"]],
            "parameters": [
                one for page in parameters.get_paginator("get_parameters_by_path").paginate(Path="/", Recursive=True)
                for one in page["Parameters"]
            ],
            "public_access": client.get_image_block_public_access_state()["ImageBlockPublicAccessState"],
        }
    json.dump(books, sys.stdout, default=str, indent=1)


def with_tags(thing):
    """Tags by their keys are easier to look at than the API's list."""
    return {**thing, "Tags": {tag["Key"]: tag["Value"] for tag in thing.get("Tags", [])}}


def image(client, image):
    answer = client.describe_image_attribute(ImageId=image["ImageId"], Attribute="launchPermission")
    return {**with_tags(image), "Permissions": answer["LaunchPermissions"]}


def snapshot(client, snapshot):
    answer = client.describe_snapshot_attribute(SnapshotId=snapshot["SnapshotId"], Attribute="createVolumePermission")
    return {**with_tags(snapshot), "Permissions": answer["CreateVolumePermissions"]}


def instance(client, instance):
    attribute = "instanceInitiatedShutdownBehavior"
    answer = client.describe_instance_attribute(InstanceId=instance["InstanceId"], Attribute=attribute)
    return {**with_tags(instance), "ShutdownBehavior": answer["InstanceInitiatedShutdownBehavior"]["Value"]}


if __name__ == "__main__":
    main(*sys.argv[1:])
