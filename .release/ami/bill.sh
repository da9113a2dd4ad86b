#!/bin/bash
# Whether the image's bill of materials lists what is installed, for check.sh, which takes this in: it has `python`.

readonly BILL=/usr/share/wallaroo/sbom.cdx.json

# Packages that this machine has upgraded itself since it booted do not count. seal.sh leaves no log in the image, so all
# of dpkg's log is of this machine.
bill_lists_what_is_installed() {
    local listed installed fault=''
    listed=$(read_bill 2>&1) || fault=$listed
    if [[ -n $fault || -z $listed ]]; then
        echo "$BILL: ${fault:-it lists no packages}"
        return
    fi
    listed=$(sort <<< "$listed")
    installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Architecture} ${Version}\n' | sed -n 's/^.i *//p' | sort)
    {
        comm -23 <(echo "$listed") <(echo "$installed") | sed 's/$/ is listed, and not installed/'
        comm -13 <(echo "$listed") <(echo "$installed") | sed 's/$/ is installed, and not listed/'
    } | grep -vFf <(changed_since_boot) || true
}

changed_since_boot() {
    awk '$3 ~ /^(install|upgrade|remove|purge)$/ { sub(":", " ", $4); print $4 " " }' /var/log/dpkg.log 2> /dev/null || true
}

# Prints a line `NAME ARCHITECTURE VERSION` for each package.
read_bill() {
    # shellcheck disable=SC2154 # check.sh looks for it.
    "$python" -S -E - "$BILL" << 'PYTHON'
import json, sys
try:
    with open(sys.argv[1]) as file:
        components = json.load(file)["components"]
    for it in components:
        if "purl" in it:
            arch = it["purl"].split("arch=")[1].split("&")[0]
            sys.stdout.write("%s %s %s\n" % (it["name"], arch, it["version"]))
except (IOError, ValueError, KeyError, IndexError, TypeError) as error:
    sys.exit("%s: %s" % (type(error).__name__, error))
PYTHON
}
