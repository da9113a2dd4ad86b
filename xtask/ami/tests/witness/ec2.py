"""Holds what the tests' endpoint heard and answered against botocore's models of the services.

    ec2.py TALK PARTITIONS

TALK is the file that `EC2_TALK` named while the tests ran. Each request must consist of parameters that the model has,
with their types, enumerations and required members; each answer must consist of elements that the model has, and
botocore's own parser must read the same facts from it. PARTITIONS must be botocore's file of partitions.
"""

import base64
import binascii
import json
import pathlib
import re
import sys
import urllib.parse
import xml.etree.ElementTree as ElementTree
from collections import Counter

import botocore.loaders
import botocore.model
import botocore.parsers
import botocore.utils
import botocore.validate

NAMES = {"ec2": "ec2", "sts": "sts", "servicequotas": "service-quotas", "kms": "kms", "ssm": "ssm"}
# What EC2 answers besides what is modelled for the action.
UNMODELLED = {"requestId", "return"}
# With these the endpoint says itself that a request is not as the model wants it. Tests ask for that.
REFUSED = {"InvalidAMIName.Malformed", "InvalidParameter", "InvalidParameterValue", "MissingParameter"}


class Fault(Exception):
    """What contradicts the model."""


def scalar(shape, text):
    """The value of a text, as the model wants it."""
    kind = shape.type_name
    try:
        if kind in ("integer", "long"):
            return int(text)
        if kind in ("float", "double"):
            return float(text)
        if kind == "boolean":
            return {"true": True, "false": False}[text]
        if kind == "timestamp":
            return botocore.utils.parse_timestamp(text)
        if kind == "blob":
            return base64.b64decode(text, validate=True)
    except (KeyError, ValueError, binascii.Error):
        raise Fault(f"`{text}` is no {kind}") from None
    if kind != "string":
        raise Fault(f"`{text}` is a text, and no {kind}")
    if shape.enum and text not in shape.enum:
        raise Fault(f"`{text}` is none of {shape.name}: {', '.join(shape.enum[:8])}")
    return text


def tree(form):
    """A form's fields by the parts of their names; what is at the end of a name is a text."""
    root = {}
    for name, text in form:
        at, parts = root, name.split(".")
        for part in parts[:-1]:
            at = at.setdefault(part, {})
            if not isinstance(at, dict):
                raise Fault(f"{name} is below a text")
        if parts[-1] in at:
            raise Fault(f"{name} is there twice")
        at[parts[-1]] = text
    return root


def wire_name(name, shape, protocol):
    """What a member is called in a form."""
    if protocol == "ec2" and "queryName" in shape.serialization:
        return shape.serialization["queryName"]
    known = shape.serialization.get("name", name)
    return known[0].upper() + known[1:] if protocol == "ec2" else known


def asked(shape, given, protocol):
    """The parameters that a form's fields stand for."""
    if shape.type_name == "structure":
        if not isinstance(given, dict):
            raise Fault(f"`{given}` is a text, and no {shape.name}")
        names = {wire_name(name, member, protocol): name for name, member in shape.members.items()}
        unknown = sorted(set(given) - set(names))
        if unknown:
            raise Fault(f"{shape.name} has no {', '.join(unknown)}")
        return {names[name]: asked(shape.members[names[name]], below, protocol) for name, below in given.items()}
    if shape.type_name == "list":
        wanted = [str(number) for number in range(1, len(given) + 1)]
        if not isinstance(given, dict) or sorted(given) != sorted(wanted):
            raise Fault(f"{shape.name} is not numbered from 1: {given}")
        return [asked(shape.member, given[number], protocol) for number in wanted]
    if isinstance(given, dict):
        raise Fault(f"{shape.name} has nothing below it: {given}")
    return scalar(shape, given)


def check_enums(shape, value):
    """Holds the texts of parameters against their enumerations, which botocore does not."""
    if shape.type_name == "structure":
        for name, below in value.items():
            check_enums(shape.members[name], below)
    elif shape.type_name == "list":
        for below in value:
            check_enums(shape.member, below)
    elif shape.type_name == "string":
        scalar(shape, value)


def error_code(line):
    """The code of the error that a line's answer is, if it is one."""
    found = re.search(r"<Code>([^<]*)</Code>", line["answer"])
    return found[1] if found and line["status"] >= 300 else None


def check_request(model, line):
    """Holds a request against the model, unless it was refused for not being as it should."""
    if error_code(line) in REFUSED:
        return
    operation = model.operation_model(line["action"])
    protocol = model.protocol
    if protocol == "json":
        parameters = json.loads(line["asked"])
    else:
        form = dict(urllib.parse.parse_qsl(line["asked"], keep_blank_values=True, strict_parsing=True))
        action, version = form.pop("Action", None), form.pop("Version", None)
        if (action, version) != (line["action"], model.api_version):
            raise Fault(f"it asks for {action} of {version}")
        if operation.input_shape is None:
            if form:
                raise Fault(f"it has no parameters: {form}")
            return
        parameters = asked(operation.input_shape, tree(form.items()), protocol)
    report = botocore.validate.ParamValidator().validate(parameters, operation.input_shape)
    if report.has_errors():
        raise Fault(report.generate_report())
    check_enums(operation.input_shape, parameters)


def bare(tag):
    """A tag without its name space."""
    return tag.rsplit("}", 1)[-1]


def same_facts(shape, element, parsed, where):
    """Walks through an answer, the model and what the parser made of it, side by side."""
    if shape.type_name == "structure":
        names = {member.serialization.get("name", name): name for name, member in shape.members.items()}
        seen = Counter(bare(child.tag) for child in element)
        for child in element:
            tag = bare(child.tag)
            if tag not in names:
                raise Fault(f"{where} has no {tag} in {shape.name}")
            if seen[tag] > 1:
                raise Fault(f"{where}.{tag} is there {seen[tag]} times")
            if names[tag] not in parsed:
                raise Fault(f"the parser finds no {where}.{tag}")
            same_facts(shape.members[names[tag]], child, parsed[names[tag]], f"{where}.{tag}")
    elif shape.type_name == "list":
        if len(element) != len(parsed):
            raise Fault(f"{where} has {len(element)} items, and the parser finds {len(parsed)}")
        item = shape.member.serialization.get("name", "member")
        for number, (child, value) in enumerate(zip(element, parsed), 1):
            if bare(child.tag) != item:
                raise Fault(f"{where} has a {bare(child.tag)} where {item} is meant")
            same_facts(shape.member, child, value, f"{where}[{number}]")
    elif len(element):
        raise Fault(f"{where} is a {shape.type_name}, and has elements")
    else:
        same_value(shape, element.text or "", parsed, where)


def same_value(shape, text, parsed, where):
    try:
        value = scalar(shape, text)
    except Fault as fault:
        raise Fault(f"{where}: {fault}") from None
    if value != parsed:
        raise Fault(f"{where} is {value!r}, and the parser reads {parsed!r}")


def same_json(shape, answered, where):
    """Holds an answer in JSON against the model."""
    if shape.type_name == "structure":
        for name, below in answered.items():
            if name not in shape.members:
                raise Fault(f"{where} has no {name} in {shape.name}")
            same_json(shape.members[name], below, f"{where}.{name}")
    elif shape.type_name == "list":
        for number, below in enumerate(answered, 1):
            same_json(shape.member, below, f"{where}[{number}]")
    elif shape.type_name != "string" and not isinstance(answered, (bool, int, float)):
        raise Fault(f"{where} is {answered!r}, and no {shape.type_name}")


def check_answer(model, line):
    """Holds an answer against the model and the parser."""
    operation = model.operation_model(line["action"])
    shape, body = operation.output_shape, line["answer"].encode()
    parser = botocore.parsers.create_parser(model.protocol)
    parsed = parser.parse({"body": body, "headers": {}, "status_code": line["status"]}, shape)
    if line["status"] >= 300:
        error = parsed.get("Error", {})
        if not error.get("Code") or not error.get("Message"):
            raise Fault(f"the parser finds no error in {line['answer']}")
        return
    if model.protocol == "json":
        return same_json(shape, json.loads(body), line["action"])
    root = ElementTree.fromstring(body)
    if bare(root.tag) != f"{line['action']}Response":
        raise Fault(f"it is a {bare(root.tag)}")
    if shape is not None and "resultWrapper" in shape.serialization:
        (root,) = [child for child in root if bare(child.tag) == shape.serialization["resultWrapper"]]
    known = {member.serialization.get("name", name) for name, member in shape.members.items()} if shape else set()
    for child in list(root):
        if bare(child.tag) in UNMODELLED - known:
            root.remove(child)
    if shape is None:
        if len(root):
            raise Fault(f"the model has no answer, and there is {bare(root[0].tag)}")
        return
    same_facts(shape, root, parsed, line["action"])


def models():
    """The services' models, as botocore has them."""
    loader = botocore.loaders.Loader()
    return {
        service: botocore.model.ServiceModel(loader.load_service_model(name, "service-2"), name)
        for service, name in NAMES.items()
    }


def main():
    services, faults, seen = models(), Counter(), Counter()
    for text in pathlib.Path(sys.argv[1]).read_text().splitlines():
        line = json.loads(text)
        model = services[line["service"]]
        if line["action"] not in model.operation_names:
            faults[f"{line['service']} has no action {line['action']}"] += 1
            continue
        seen[line["action"]] += 1
        for side, check in (("request", check_request), ("answer", check_answer)):
            try:
                check(model, line)
            except Fault as fault:
                faults[f"{line['action']}, {side}: {fault}"] += 1
    own = json.loads(pathlib.Path(sys.argv[2]).read_text())
    if own != botocore.loaders.Loader().load_data("partitions"):
        faults[f"{sys.argv[2]} differs from botocore's"] += 1
    print(f"{sum(seen.values())} requests and answers of {len(seen)} actions")
    if not seen:
        faults["nothing was written down"] += 1
    sys.exit("\n".join(f"{fault} ({count}×)" for fault, count in faults.most_common()) or None)


if __name__ == "__main__":
    main()
