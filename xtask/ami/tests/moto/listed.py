"""Reads what `ami list --format FORMAT` printed, with a reader of that format that is not this project's.

Usage: listed.py FORMAT < TEXT. Prints the images as JSON: a map from region to id.
"""

import csv
import json
import sys

import hcl2


def terraform(text):
    (block,) = hcl2.loads(text)["locals"]
    # The reader keeps the quotes of literals.
    return {json.loads(region): json.loads(image) for region, image in block["ami_ids"].items()}


def comma_separated(text):
    return {row["region"]: row["id"] for row in csv.DictReader(text.splitlines())}


def markdown(text):
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ") and "`" in line]
    return {region.strip(): image.strip(" `") for region, image, _ in rows}


readers = {"terraform": terraform, "csv": comma_separated, "markdown": markdown}
print(json.dumps(readers[sys.argv[1]](sys.stdin.read())))
