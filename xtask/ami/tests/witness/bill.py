"""Holds bills of materials against CycloneDX's own schema, and the URLs of packages against their specification.

    bill.py FOLDER

Every *.cdx.json in the folder is looked at. Without one, it fails: then no image was made whose bill could be wrong.
"""

import json
import pathlib
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL


def faults(text):
    """What is wrong with a bill of materials."""
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if error is not None:
        yield str(error)
        return
    bill = json.loads(text)
    refs = [component["bom-ref"] for component in bill["components"]]
    yield from (f"two components are called {ref}" for ref in sorted({ref for ref in refs if refs.count(ref) > 1}))
    for component in bill["components"]:
        if "purl" in component:
            url = PackageURL.from_string(component["purl"])
            if (url.name, url.version) != (component["name"], component["version"]):
                yield f"{component['purl']} is not of {component['name']} {component['version']}"
            elif url.to_string() != component["purl"]:
                yield f"{component['purl']} would be written {url.to_string()}"
    kinds = {component["type"] for component in bill["components"]}
    yield from (f"there is no {kind}" for kind in ("application", "library", "operating-system") if kind not in kinds)


def main():
    bills = sorted(pathlib.Path(sys.argv[1]).glob("*.cdx.json"))
    found = [f"{bill}: {fault}" for bill in bills for fault in faults(bill.read_text())]
    if not bills:
        found.append(f"{sys.argv[1]} has no bills of materials")
    print(f"bills of materials: {len(bills)}, faults: {len(found)}")
    if found:
        sys.exit("\n".join(found))


main()
