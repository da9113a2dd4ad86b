#!/bin/bash
# moto 5.2.5: StopInstances on a terminated instance succeeds, and the instance is `stopped` after it; StartInstances
# makes it run again. EC2 refuses both with IncorrectInstanceState ("This instance 'i-…' is not in a state from which it
# can be stopped"): what is terminated stays terminated. A tool that stops what it should not passes its tests over moto.
#
# Output seen with moto 5.2.5, boto3 1.44.5:
#   terminated, after StopInstances stopped, after StartInstances running
#
# It installs the packages into a temporary folder, and fails when the behaviour is another.
set -euo pipefail

folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check 'moto[ec2]==5.2.5' boto3==1.44.5 botocore==1.44.5

said=$("$folder/bin/python" - <<'PYTHON'
import boto3
from moto import mock_aws

with mock_aws():
    ec2 = boto3.client("ec2", region_name="us-west-2", aws_access_key_id="none", aws_secret_access_key="none")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    launched = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]

    def state():
        found = ec2.describe_instances(InstanceIds=[launched])
        return found["Reservations"][0]["Instances"][0]["State"]["Name"]

    ec2.terminate_instances(InstanceIds=[launched])
    terminated = state()
    ec2.stop_instances(InstanceIds=[launched])
    stopped = state()
    ec2.start_instances(InstanceIds=[launched])
    print(f"{terminated}, after StopInstances {stopped}, after StartInstances {state()}")
PYTHON
)
echo "$said"
[ "$said" = "terminated, after StopInstances stopped, after StartInstances running" ]
