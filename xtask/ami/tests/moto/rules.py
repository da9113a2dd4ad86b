"""What an organization's account refuses. The rules are JSON in a file of the lab, read at each call, so that a test may
change them: `regions` (all others are closed) and `tags` (keys that everything must have that is created).
"""

import json
from xml.sax.saxutils import escape

# What each action creates that takes tags.
CREATED = {
    "RunInstances": {"instance", "volume"},
    "CreateImage": {"image", "snapshot"},
    "CopyImage": {"image", "snapshot"},
    "ImportKeyPair": {"key-pair"},
    "CreateSecurityGroup": {"security-group"},
}

# The file of the rules.
rules_file = None


def refusal(region, action, specifications):
    """The answer of a call that a service control policy denies, dry run or not, or None."""
    rules = json.loads(rules_file.read_text()) if rules_file and rules_file.exists() else {}
    tagged = {one["ResourceType"]: {tag["Key"] for tag in one["Tags"]} for one in specifications}
    is_closed = region not in rules.get("regions", [region])
    is_untagged = any(not tagged.get(kind, set()).issuperset(rules.get("tags", ())) for kind in CREATED.get(action, ()))
    if not is_closed and not is_untagged:
        return None
    message = (
        "You are not authorized to perform this operation. User: arn:aws:iam::123456789012:user/lab is not authorized "
        f"to perform: ec2:{action} on resource: * with an explicit deny in a service control policy"
    )
    error = f"<Code>UnauthorizedOperation</Code><Message>{escape(message)}</Message>"
    return 403, {"status": 403}, f"<Response><Errors><Error>{error}</Error></Errors></Response>"
