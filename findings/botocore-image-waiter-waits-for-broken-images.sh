#!/bin/bash
# botocore 1.44.5: the waiter `image_available` takes `failed` alone for the end of an image. In `error`, `invalid`,
# `deregistered` or `disabled`, from which none becomes available by itself, it goes on to its last attempt: 40 of them, 15 s
# apart. The same limit ends it while a copy to another region, which may take longer, is still `pending`, and both errors
# read alike. What waits for images with it reports ten minutes late, and wrongly.
#
# Output seen with boto3 1.44.5, botocore 1.44.5:
#   40 attempts, 15 s apart
#   failed: asked 1 times, Waiter encountered a terminal failure state
#   error: asked 3 times, Max attempts exceeded
#   invalid: asked 3 times, Max attempts exceeded
#   deregistered: asked 3 times, Max attempts exceeded
#   disabled: asked 3 times, Max attempts exceeded
#   pending: asked 3 times, Max attempts exceeded
#
# It installs the packages into a temporary folder, and fails when the behaviour is another.
set -euo pipefail

folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check boto3==1.44.5 botocore==1.44.5

said=$("$folder/bin/python" - <<'PYTHON'
import boto3
from botocore.exceptions import WaiterError
from botocore.stub import Stubber

ec2 = boto3.client("ec2", region_name="us-west-2", aws_access_key_id="none", aws_secret_access_key="none")
waiter = ec2.get_waiter("image_available")
print(f"{waiter.config.max_attempts} attempts, {waiter.config.delay} s apart")
for state in ["failed", "error", "invalid", "deregistered", "disabled", "pending"]:
    with Stubber(ec2) as stub:
        asked = []
        ec2.meta.events.register("provide-client-params.ec2.DescribeImages", lambda **_: asked.append(1), unique_id="count")
        for _ in range(3):
            stub.add_response("describe_images", {"Images": [{"ImageId": "ami-1", "State": state}]})
        try:
            ec2.get_waiter("image_available").wait(ImageIds=["ami-1"], WaiterConfig={"Delay": 0, "MaxAttempts": 3})
        except WaiterError as error:
            said = str(error).split("failed: ")[1]
            end = "Max attempts exceeded" if said.startswith("Max attempts exceeded") else said.split(":")[0]
            print(f"{state}: asked {len(asked)} times, {end}")
        ec2.meta.events.unregister("provide-client-params.ec2.DescribeImages", unique_id="count")
PYTHON
)
echo "$said"
[ "$said" = "40 attempts, 15 s apart
failed: asked 1 times, Waiter encountered a terminal failure state
error: asked 3 times, Max attempts exceeded
invalid: asked 3 times, Max attempts exceeded
deregistered: asked 3 times, Max attempts exceeded
disabled: asked 3 times, Max attempts exceeded
pending: asked 3 times, Max attempts exceeded" ]
