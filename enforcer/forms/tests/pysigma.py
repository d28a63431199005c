#!/usr/bin/env python3
"""Parse the detection rules with pySigma and hold them to its validators.

    pysigma.py RULE.yml...

Exit status 0 = as it should be, 1 = faults (one a line), 3 = the package is not there."""
import sys

try:
    from sigma.collection import SigmaCollection
    from sigma.validation import SigmaValidator
    from sigma.plugins import InstalledSigmaPlugins
except ImportError:
    print("the package pysigma is not there", file=sys.stderr)
    sys.exit(3)

# These look up lists of techniques that are not in the package.
NEED_NETWORK = {"attacktag", "d3_fendtag", "d3fendtag"}

rules = SigmaCollection.load_ruleset(sys.argv[1:])
faults = [f"{error}" for error in rules.errors]
rules.resolve_rule_references()
validators = {name: kind for name, kind in InstalledSigmaPlugins.autodiscover().validators.items()
              if name not in NEED_NETWORK}
faults += [f"{issue}" for issue in SigmaValidator(validators.values()).validate_rules(iter(rules))]
print(*faults, sep="\n", end="\n" if faults else "")
print(f"{len(rules)} rules, {len(faults)} faults, {len(validators)} validators", file=sys.stderr)
sys.exit(1 if faults or not len(rules) else 0)
