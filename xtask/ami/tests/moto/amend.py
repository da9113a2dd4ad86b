"""What moto's EC2 lacks, after EC2's API reference; README.md has the table.

moto answers `EC2Response`'s methods, one for each action, and writes an answer by the API's own model: an attribute
`deprecation_time` of an image becomes its `DeprecationTime`.
"""

import logging
import re
import threading
import time
from datetime import timedelta

from moto.core.responses import ActionResult, EmptyResult
from moto.core.types import Base64EncodedString
from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends
from moto.ec2.models.amis import Ami
from moto.ec2.models.elastic_block_store import Snapshot
from moto.ec2.models.instances import Instance
from moto.ec2.responses import EC2Response
from moto.ec2.utils import filter_dict_attribute_mapping
from moto.servicequotas.models import ServiceQuotasBackend

import rules

# How long an image and its snapshot are `pending`. moto knows no such state for them.
PENDING_SECS = 2.0

# How long a block on public images, or lifting it, takes to take effect.
BLOCKING_SECS = 0.0

# What tells how much time has passed.
clock = time.monotonic

# The disk of a base, as Debian's images have it.
BASE_GIB = 8

# The machines behind the instances, and the disks behind the images.
machines = None

# The actions as moto has them.
moto = {}

# A call may come again while the first one is being answered.
one_at_a_time = threading.Lock()


def amend(lab_machines):
    """Puts the actions below in the place of moto's own."""
    global machines
    machines = lab_machines
    for name, method in vars(Actions).items():
        if not name.startswith("_"):
            moto[name] = getattr(EC2Response, name, None)
            setattr(EC2Response, name, method if name == "call_action" else _unless_dry(method))
    filter_dict_attribute_mapping["client-token"] = "client_token"
    ended = Instance.terminate
    Instance.terminate = lambda instance: (
        instance.instance_state if instance.state == "terminated" else ended(instance)
    )
    Ami.state = property(_image_state, lambda image, state: setattr(image, "settled_state", state))
    Ami.block_device_mappings = property(_image_devices)
    # moto says nothing of it, and without it no image runs on m5.large.
    Ami.ena_support = True
    Snapshot.status = property(_snapshot_status, lambda snapshot, status: setattr(snapshot, "settled_status", status))
    Snapshot.progress = property(lambda snapshot: f"{round(100 * _progress(snapshot))}%")
    made = Ami.__init__

    def make(image, *words, deprecated=None, **named):
        image.deprecation_time = deprecated
        made(image, *words, **named)

    Ami.__init__ = make
    asked = ServiceQuotasBackend.get_service_quota
    ServiceQuotasBackend.get_service_quota = lambda backend, service_code, quota_code: (
        PUBLIC_IMAGES if quota_code == PUBLIC_IMAGES["QuotaCode"] else asked(backend, service_code, quota_code)
    )


PUBLIC_IMAGES = {
    "ServiceCode": "ec2", "QuotaCode": "L-0E3CBAB9", "QuotaName": "Public AMIs",
    "Value": 5.0, "Unit": "None", "Adjustable": True, "GlobalQuota": False,
}


class Actions:
    """Methods of EC2Response."""

    def call_action(self):
        """A line for each call in the lab's log."""
        try:
            refused = rules.refusal(self.region, self._get_action(), self._get_param("TagSpecifications", []))
            status, headers, body = refused or moto["call_action"](self)
        except NotImplementedError as missing:
            if not str(missing).endswith("action has not been implemented"):
                raise
            # What EC2 answers where it does not know an action.
            fault = f"The action {self._get_action()} is not valid for this web service."
            body = f"<Response><Errors><Error><Code>InvalidAction</Code><Message>{fault}</Message></Error></Errors></Response>"
            status, headers = 400, {"status": 400}
        text = body.decode() if isinstance(body, bytes) else body
        fault = re.search("<Code>(.*?)</Code>", text)
        logging.info("%s %s: %s", self.region, self._get_action(), "done" if status < 400 else fault and fault[1])
        return status, headers, body

    def run_instances(self):
        return _once(self, "RunInstances", lambda: _run(self))

    def stop_instances(self):
        answer = moto["stop_instances"](self)
        _end(self, machines.stop)
        return answer

    def terminate_instances(self):
        answer = moto["terminate_instances"](self)
        _end(self, machines.terminate)
        return answer

    def modify_instance_attribute(self):
        behavior = self._get_param("InstanceInitiatedShutdownBehavior")
        if not behavior:
            answer = moto["modify_instance_attribute"](self)
            instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
            for interface in instance.nics.values() if self._get_param("Groups") else ():
                interface._group_set = list(instance.security_groups)
            return answer
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        instance.instance_initiated_shutdown_behavior = behavior["Value"]
        return EmptyResult()

    def get_console_output(self):
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        output = Base64EncodedString.from_raw_string(machines.console(instance.id))
        return ActionResult({"InstanceId": instance.id, "Timestamp": utcnow(), "Output": output})

    def delete_security_group(self):
        group = self._get_param("GroupId") or self._get_param("GroupName")
        for instance in self.ec2_backend.all_instances():
            groups = [*instance.security_groups, *(group for nic in instance.nics.values() for group in nic.group_set)]
            if instance.state != "terminated" and any(group in (one.id, one.name) for one in groups):
                raise EC2ClientError("DependencyViolation", f"resource {group} has a dependent object")
        return moto["delete_security_group"](self)

    def create_image(self):
        _check_name(self)
        backend, name = self.ec2_backend, self._get_param("Name")
        for image in backend.amis.values():
            if image.name == name and image.owner_id == backend.account_id:
                raise EC2ClientError("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {image.id}")
        instance = backend.get_instance(self._get_param("InstanceId"))
        image = backend.create_image(instance.id, name, self._get_param("Description", ""), tag_specifications=[])
        for _, device in instance.get_block_device_mapping:
            image.ebs_snapshot.volume = backend.get_volume(device.volume_id)
        machines.keep_disk(instance.id, image.id)
        _new_image(self, image, instance.root_device_name)
        return ActionResult({"ImageId": image.id})

    def copy_image(self):
        _check_name(self)
        return _once(self, "CopyImage", lambda: _copy(self))

    def describe_images(self):
        answer = moto["describe_images"](self)
        if str(self._get_param("IncludeDeprecated")).lower() != "true" and not self._get_param("ImageIds"):
            now = utcnow().isoformat()
            own = self.ec2_backend.account_id
            images = answer.result["Images"]
            answer.result["Images"] = [
                image for image in images
                if image.owner_id == own or (getattr(image, "deprecation_time", None) or "9") > now
            ]
        return answer

    def modify_image_attribute(self):
        image = _image(self, self._get_param("ImageId"))
        forms = ("LaunchPermission", "ImdsSupport", "Description", "Attribute")
        named = [name for name in forms if self._get_param(name)]
        if len(named) != 1:
            raise EC2ClientError("InvalidParameterCombination", f"One attribute at a time, not {named}")
        if (self._get_param("ImdsSupport") or {"Value": "v2.0"})["Value"] != "v2.0":
            raise EC2ClientError("InvalidParameterValue", "ImdsSupport may be v2.0")
        added = self._get_param("LaunchPermission", {}).get("Add", [])
        if self._get_param("OperationType") == "add":
            added = added + [{"Group": group} for group in self._get_param("UserGroups", [])]
        _refuse_encrypted(image.ebs_snapshot, added)
        if {"Group": "all"} in added and _public_access_is_blocked(self):
            raise EC2ClientError("OperationNotPermitted", "You can't share this image with everybody")
        for name, attribute in (("Description", "description"), ("ImdsSupport", "imds_support")):
            value = self._get_param(name)
            if not value and self._get_param("Attribute") == name[0].lower() + name[1:]:
                value = {"Value": self._get_param("Value")}
            if value:
                setattr(image, attribute, value["Value"])
                return EmptyResult()
        return moto["modify_image_attribute"](self)

    def enable_image_deprecation(self):
        at = self._get_param("DeprecateAt")
        # moto's parameters are dates where the API's model says so.
        _image(self, self._get_param("ImageId")).deprecation_time = (
            at if isinstance(at, str) else (at + timedelta(seconds=30)).strftime("%Y-%m-%dT%H:%M:00.000Z")
        )
        return ActionResult({"Return": True})

    def disable_image_deprecation(self):
        _image(self, self._get_param("ImageId")).deprecation_time = None
        return ActionResult({"Return": True})

    def disable_image(self):
        """EC2 user guide, "Disable an Amazon EC2 AMI": one that was public or shared is private then, and stays so."""
        image = _image(self, self._get_param("ImageId"))
        answer = moto["disable_image"](self)
        image.launch_permissions.clear()
        return answer

    def deregister_image(self):
        image = self.ec2_backend.amis.get(self._get_param("ImageId"))
        answer = moto["deregister_image"](self)
        if image and self._get_param("DeleteAssociatedSnapshots"):
            self.ec2_backend.delete_snapshot(image.ebs_snapshot.id)
            result = {"SnapshotId": image.ebs_snapshot.id, "ReturnCode": "success"}
            return ActionResult({"Return": True, "DeleteSnapshotResults": [result]})
        return answer

    def describe_route_tables(self):
        _connect_default_vpc(self.ec2_backend)
        return moto["describe_route_tables"](self)

    def describe_snapshots(self):
        answer = moto["describe_snapshots"](self)
        own = self.ec2_backend.account_id
        owners = [own if owner == "self" else owner for owner in self._get_param("OwnerIds", [])]
        if owners:
            answer.result["Snapshots"] = [one for one in answer.result["Snapshots"] if one.owner_id in owners]
        return answer

    def modify_snapshot_attribute(self):
        changes = self._get_param("CreateVolumePermission")
        if not changes:
            return moto["modify_snapshot_attribute"](self)
        snapshot = self.ec2_backend.get_snapshot(self._get_param("SnapshotId"))
        _refuse_encrypted(snapshot, changes.get("Add", []))
        groups, users = snapshot.create_volume_permission_groups, snapshot.create_volume_permission_userids
        for change, permissions in changes.items():
            for permission in permissions:
                target, who = (groups, permission["Group"]) if "Group" in permission else (users, permission["UserId"])
                (target.add if change == "Add" else target.discard)(who)
        return EmptyResult()

    def get_image_block_public_access_state(self):
        state = "block-new-sharing" if _public_access_is_blocked(self) else "unblocked"
        return ActionResult({"ImageBlockPublicAccessState": state, "ManagedBy": "account"})

    def get_snapshot_block_public_access_state(self):
        return ActionResult({"State": "unblocked", "ManagedBy": "account"})

    def enable_image_block_public_access(self):
        if self._get_param("ImageBlockPublicAccessState") != "block-new-sharing":
            raise EC2ClientError("InvalidParameterValue", "The state may be block-new-sharing")
        _block(self, True)
        return ActionResult({"ImageBlockPublicAccessState": "block-new-sharing"})

    def disable_image_block_public_access(self):
        _block(self, False)
        return ActionResult({"ImageBlockPublicAccessState": "unblocked"})


def _unless_dry(method):
    def action(self):
        self.error_on_dryrun()
        return method(self)

    return action


def _connect_default_vpc(backend):
    """A default VPC has an internet gateway, and a route to it."""
    vpc = backend.get_default_vpc()
    if vpc is None or any(gateway.vpc is vpc for gateway in backend.internet_gateways.values()):
        return
    gateway = backend.create_internet_gateway()
    backend.attach_internet_gateway(gateway.id, vpc.id)
    main = {"association.main": ["true"], "vpc-id": [vpc.id]}
    [table] = backend.describe_route_tables(filters=main)
    backend.create_route(table.id, destination_cidr_block="0.0.0.0/0", gateway_id=gateway.id)


def _once(self, action, create):
    """Creates at most once for a client token."""
    token = self._get_param("ClientToken")
    if not token:
        return create()
    done = self.ec2_backend.__dict__.setdefault("done_by_token", {})
    parameters = repr(self._get_params())
    with one_at_a_time:
        if (action, token) not in done:
            done[action, token] = (parameters, create())
    before, answer = done[action, token]
    if before != parameters:
        raise EC2ClientError("IdempotentParameterMismatch", f"The token {token} was used with other parameters")
    return answer


def _run(self):
    answer = moto["run_instances"](self)
    for instance in answer.result.instances:
        key = self.ec2_backend.key_pairs.get(instance.key_name)
        machines.start(instance, key.public_key.strip() if key else None)
    return answer


def _copy(self):
    region, source_id = self._get_param("SourceRegion"), self._get_param("SourceImageId")
    source = ec2_backends[self.current_account][region].describe_images(ami_ids=[source_id])[0]
    _must_be_available(source)
    image = self.ec2_backend.copy_image(source_id, region, self._get_param("Name"), self._get_param("Description"))
    image.ebs_snapshot.volume = source.ebs_snapshot.volume
    image.ebs_snapshot.description = (
        f"Copied for DestinationAmi {image.id} from SourceAmi {source_id} for SourceSnapshot {source.ebs_snapshot.id}."
    )
    image.imds_support = getattr(source, "imds_support", None)
    machines.copy_disk(source_id, image.id)
    _new_image(self, image, source.root_device_name)
    return ActionResult({"ImageId": image.id})


def _refuse_encrypted(snapshot, added):
    if snapshot.encrypted and {"Group": "all"} in added:
        raise EC2ClientError("UnsupportedOperation", "Encrypted snapshots can't be shared publicly")


def _check_name(self):
    name = self._get_param("Name")
    if not re.fullmatch(r"[A-Za-z0-9()\[\] ./'@_-]{3,128}", name):
        raise EC2ClientError("InvalidAMIName.Malformed", f"{name} is no name of an image")


def _new_image(self, image, root_device_name):
    """What CreateImage and CopyImage have in common."""
    image.root_device_name, image.root_device_type = root_device_name, "ebs"
    image.made_at = image.ebs_snapshot.made_at = clock()
    image.ebs_snapshot.encrypted = self.ec2_backend.ebs_encryption_by_default
    targets = {"image": image, "snapshot": image.ebs_snapshot}
    for specification in self._get_param("TagSpecifications", []):
        target = targets[specification["ResourceType"]]
        target.add_tags({tag["Key"]: tag["Value"] for tag in specification["Tags"]})


def _end(self, how):
    for instance in self._get_param("InstanceIds", []):
        how(instance)


def _image(self, image_id):
    image = self.ec2_backend.describe_images(ami_ids=[image_id])[0]
    _must_be_available(image)
    return image


def _must_be_available(image):
    if image.state != "available":
        raise EC2ClientError("InvalidAMIID.Unavailable", f"The image ID '{image.id}' is not available: {image.state}")


def _public_access_is_blocked(self):
    blocked, ordered, at = getattr(self.ec2_backend, "public_access_block", (False, False, 0.0))
    return ordered if clock() >= at else blocked


def _block(self, block):
    self.ec2_backend.public_access_block = (_public_access_is_blocked(self), block, clock() + BLOCKING_SECS)


def _progress(made):
    """From 0 to 1."""
    return min(1.0, (clock() - getattr(made, "made_at", float("-inf"))) / PENDING_SECS)


def _image_state(image):
    return image.settled_state if _progress(image) == 1 else "pending"


def _snapshot_status(snapshot):
    return snapshot.settled_status if _progress(snapshot) == 1 else "pending"


def _image_devices(image):
    volume = image.ebs_snapshot.volume
    own = image.owner_id == image.ebs_snapshot.ec2_backend.account_id
    ebs = {
        "SnapshotId": image.ebs_snapshot.id, "DeleteOnTermination": True, "Encrypted": image.ebs_snapshot.encrypted,
        # moto has 15 GiB for all of them.
        "VolumeSize": volume.size if own else BASE_GIB, "VolumeType": volume.volume_type,
    }
    return [{"DeviceName": image.root_device_name, "Ebs": ebs}]
