"""Every expression of the alerts and dashboards: parsed as Prometheus does, each metric one that the daemon has.

check.py FOLDER METRIC... : the folder config/observability, and the names of all metrics without what their kind adds.
Prints how many expressions there are.
"""

import json
import pathlib
import sys

import promql_parser
import yaml

OF_PROMETHEUS = {"up"}
ENDINGS = ["", "_total", "_info", "_bucket", "_sum", "_count"]


def selectors(expression):
    """The vector selectors of a parsed expression."""
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression
        return
    for name in ("lhs", "rhs", "expr", "vector_selector", "args", "param"):
        part = getattr(expression, name, None)
        for each in part if isinstance(part, list) else [part]:
            if each is not None and type(each).__module__.split(".")[0] == "promql_parser":
                yield from selectors(each)
            elif isinstance(each, promql_parser.Expr):
                yield from selectors(each)


def expressions(folder):
    rules = yaml.safe_load((folder / "alerts/landlord.yaml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    dashboard = json.loads((folder / "dashboards/landlord.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def main():
    folder, names = pathlib.Path(sys.argv[1]), sys.argv[2:]
    known = OF_PROMETHEUS | {name + ending for name in names for ending in ENDINGS}
    count = 0
    for where, text in expressions(folder):
        found = list(selectors(promql_parser.parse(text)))
        if not found:
            sys.exit(f"{where}: {text}: asks for no metric")
        for selector in found:
            if selector.name not in known:
                sys.exit(f"{where}: {text}: the daemon has no {selector.name}")
        count += 1
    print(count)


main()
