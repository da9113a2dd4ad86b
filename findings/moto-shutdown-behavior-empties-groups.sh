#!/bin/bash
# moto 5.2.5: ModifyInstanceAttribute with InstanceInitiatedShutdownBehavior={Value=terminate}, the form that the AWS
# SDKs and the CLI send, answers 200, leaves the behaviour as it was, and takes the instance out of its security groups.
# With EC2 the behaviour is `terminate`, and the groups stay. The other form, Attribute= with Value=, does what it should.
#
# Output seen with moto 5.2.5, boto3 1.44.5:
#   stop ['held'], then 200, then stop []
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

ATTRIBUTE = "InstanceInitiatedShutdownBehavior"

with mock_aws():
    ec2 = boto3.client("ec2", region_name="us-west-2", aws_access_key_id="none", aws_secret_access_key="none")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    group = ec2.create_security_group(GroupName="held", Description="a group")["GroupId"]
    launched = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, SecurityGroupIds=[group])
    instance = launched["Instances"][0]["InstanceId"]

    def seen():
        name = ATTRIBUTE[0].lower() + ATTRIBUTE[1:]
        behavior = ec2.describe_instance_attribute(InstanceId=instance, Attribute=name)[ATTRIBUTE]["Value"]
        found = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        return f"{behavior} {[group['GroupName'] for group in found['SecurityGroups']]}"

    before = seen()
    answer = ec2.modify_instance_attribute(InstanceId=instance, **{ATTRIBUTE: {"Value": "terminate"}})
    print(f"{before}, then {answer['ResponseMetadata']['HTTPStatusCode']}, then {seen()}")
PYTHON
)
echo "$said"
[ "$said" = "stop ['held'], then 200, then stop []" ]
