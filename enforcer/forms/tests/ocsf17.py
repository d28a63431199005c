#!/usr/bin/env python3
"""Hold records to OCSF 1.7.0 as the package pydantic-ocsf (3.0.0) ships it.

    ocsf17.py check RECORDS.jsonl       every record: attributes, requirements, enums, types, and the package's models
    ocsf17.py facts                     facts/ocsf-1.7.0.json says what the package says
    ocsf17.py write PROFILES NEWER      writes facts/ocsf-1.7.0.json: PROFILES is the folder `profiles/` of the schema's
                                        repository at 1.7.0 (the package does not ship them), NEWER the facts of 1.9.0

Exit status 0 = as it should be, 1 = faults (one a line), 3 = the package is not there."""
import json, os, re, sys

FACTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "facts", "ocsf-1.7.0.json")
CLASSES = ["process_activity", "network_activity", "entity_management", "application_lifecycle", "application_error",
           "event_log_actvity"]  # so spelt in the schema
OBJECTS = ["actor", "device", "file", "fingerprint", "firewall_rule", "managed_entity", "metadata", "network_connection_info",
           "network_endpoint", "policy", "process", "process_entity", "product", "rule", "session", "user"]
PYTHON = {"string_t": str, "boolean_t": bool, "integer_t": int, "long_t": int, "float_t": (int, float),
          "timestamp_t": int, "json_t": object}


def package_schema():
    try:
        import ocsf
    except ImportError:
        print("the package pydantic-ocsf is not there", file=sys.stderr)
        sys.exit(3)
    return json.load(open(os.path.join(os.path.dirname(ocsf.__file__), "schemas", "v1_7_0.json")))


def chain(table, name):
    names = []
    while name:
        names.append(name)
        name = table[name].get("extends")
    return names


def merged(schema, table, name, profiles):
    """The attributes of a class or an object, with those that it inherits and those of its profiles."""
    dictionary, found = schema["dictionary"]["attributes"], {}

    def take(attribute, spec, profile=None):
        known = found.setdefault(attribute, {"profile": profile})
        enum = {**known.get("enum", {}), **spec.get("enum", {})}
        known.update({k: v for k, v in spec.items() if k not in ("enum", "profile")})
        # An attribute that a class has by itself needs no profile: `"profile": null` says so.
        if profile is None:
            known["profile"] = None
        if enum:
            known["enum"] = enum

    for ancestor in reversed(chain(table, name)):
        attributes = table[ancestor]["attributes"]
        included = attributes.get("$include", [])
        for path in [included] if isinstance(included, str) else included:
            profile = os.path.basename(path)[: -len(".json")]
            for attribute, spec in profiles.get(profile, {}).items():
                if attribute not in found:
                    take(attribute, spec, profile)
        for attribute, spec in attributes.items():
            if not attribute.startswith("$"):
                take(attribute, spec)
    for attribute, spec in found.items():
        base = dictionary.get(attribute, {})
        enum = {**base.get("enum", {}), **spec.get("enum", {})}
        spec["enum"] = enum
        for key in ("type", "is_array"):
            spec.setdefault(key, base.get(key))
    return found


def terse(found, name):
    """What the tests need of the attributes, in little room."""
    attributes = {}
    for attribute, spec in sorted(found.items()):
        short = {"type": spec["type"] or "string_t"}
        if spec.get("is_array"):
            short["array"] = True
        if spec.get("requirement") == "required":
            short["required"] = True
        if spec.get("profile"):
            short["profile"] = spec["profile"]
        numbered = sorted(int(n) for n in spec["enum"] if re.fullmatch(r"-?\d+", n))
        if numbered and attribute not in ("category_uid", "class_uid", "type_uid"):
            short["enum"] = numbered
        attributes[attribute] = short
    return attributes


def extract(schema, profiles):
    events, categories = schema["events"], schema["categories_meta"]["attributes"]
    classes, objects = {}, {}
    for name in CLASSES:
        line = chain(events, name)
        category = next(events[n]["category"] for n in line if events[n].get("category"))
        uid = categories[category]["uid"] * 1000 + events[name]["uid"]
        wants = next((events[n]["constraints"]["at_least_one"] for n in line
                      if "at_least_one" in (events[n].get("constraints") or {})), [])
        classes[str(uid)] = {"name": name, "at_least_one": wants,
                             "attributes": terse(merged(schema, events, name, profiles), name)}
    for name in OBJECTS:
        wants = (schema["objects"][name].get("constraints") or {}).get("at_least_one", [])
        objects[name] = {"at_least_one": wants,
                         "attributes": terse(merged(schema, schema["objects"], name, profiles), name)}
    types = {n: {k: t[k] for k in ("type", "range", "max_len") if k in t}
             for n, t in sorted(schema["dictionary"]["types"]["attributes"].items())}
    return classes, objects, types


def lacking(classes, objects, newer):
    """By class and object: what 1.9.0 has and 1.7.0 has not. The package ships no extensions, of which the users'
    profiles are, and twins of times (`*_dt`) are another profile's: 1.7.0 has both."""
    def beyond(old, new):
        return sorted(a for a, spec in new["attributes"].items() if a not in old["attributes"]
                      and not a.endswith("_dt") and "_users" not in str(spec.get("profile")))
    found = {}
    for facts in classes.values():
        found[facts["name"]] = beyond(facts, newer["classes"][facts["name"]])
    for name, facts in objects.items():
        found[name] = beyond(facts, newer["objects"][name])
    return {name: attributes for name, attributes in found.items() if attributes}


def write(folder, newer):
    schema, profiles = package_schema(), {}
    for name in sorted(os.listdir(folder)):
        profile = json.load(open(os.path.join(folder, name)))
        profiles[name[: -len(".json")]] = {
            a: {k: dict.fromkeys(s[k], {}) if k == "enum" else s[k] for k in ("requirement", "enum") if k in s}
            for a, s in profile["attributes"].items() if not a.startswith("$")}
    classes, objects, types = extract(schema, profiles)
    facts = {"version": schema["version"], "source": "pydantic-ocsf 3.0.0, ocsf/schemas/v1_7_0.json; profiles: "
             "ocsf-schema 1.7.0, profiles/", "profiles": profiles, "classes": classes, "objects": objects,
             "types": types, "lacking": lacking(classes, objects, json.load(open(newer)))}
    with open(FACTS, "w") as out:
        out.write("{\n" + ",\n".join(f"{json.dumps(k)}: " + lines(v) for k, v in facts.items()) + "\n}\n")
    return []


def lines(value):
    """One member a line, so that a change shows as one."""
    if not isinstance(value, dict):
        return json.dumps(value)
    rows = [f" {json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in value.items()]
    return "{\n" + ",\n".join(rows) + "\n}"


def facts_are_the_packages():
    facts = json.load(open(FACTS))
    classes, objects, types = extract(package_schema(), facts["profiles"])
    found = {"classes": classes, "objects": objects, "types": types}
    return [f"{FACTS}: `{part}` is not what the package says: write it anew"
            for part in found if found[part] != facts[part]]


class Checker:
    def __init__(self, schema, facts):
        self.classes, self.objects, self.types = extract(schema, facts["profiles"])
        self.faults = []

    def base(self, kind):
        while kind not in PYTHON and kind in self.types:
            kind = self.types[kind].get("type", "string_t")
        return kind

    def value(self, spec, value, path):
        if spec.get("array"):
            if not isinstance(value, list):
                return self.faults.append(f"{path}: is not an array")
            for n, item in enumerate(value):
                self.value({**spec, "array": False}, item, f"{path}[{n}]")
            return
        if "enum" in spec and value not in spec["enum"]:
            self.faults.append(f"{path}: {value!r} is no member of the enum")
        if spec["type"] in self.objects:
            return self.thing(self.objects[spec["type"]], value, path, None)
        if spec["type"] == "object":  # anything
            return
        if spec["type"] not in self.types:
            return self.faults.append(f"{path}: is of {spec['type']}, which the facts do not have")
        wanted = PYTHON.get(self.base(spec["type"]), str)
        if wanted is not object and (not isinstance(value, wanted) or (wanted is int and isinstance(value, bool))):
            self.faults.append(f"{path}: {value!r} is not {spec['type']}")
        low, high = self.types[spec["type"]].get("range", (None, None))
        if low is not None and not low <= value <= high:
            self.faults.append(f"{path}: {value!r} is out of range")

    def thing(self, facts, value, path, profiles):
        if not isinstance(value, dict):
            return self.faults.append(f"{path}: is not an object")
        for name, item in value.items():
            spec = facts["attributes"].get(name)
            if spec is None:
                self.faults.append(f"{path}.{name}: 1.7.0 has no such attribute")
            elif profiles is not None and spec.get("profile") and spec["profile"] not in profiles:
                self.faults.append(f"{path}.{name}: needs the profile {spec['profile']}")
            else:
                self.value(spec, item, f"{path}.{name}")
        for name, spec in facts["attributes"].items():
            if spec.get("required") and name not in value and (not spec.get("profile")):
                self.faults.append(f"{path}.{name}: is required")
        if facts["at_least_one"] and not set(facts["at_least_one"]) & set(value):
            self.faults.append(f"{path}: needs one of {facts['at_least_one']}")

    def record(self, record):
        self.faults = []
        facts = self.classes.get(str(record.get("class_uid")))
        if facts is None:
            return [f"$.class_uid: {record.get('class_uid')!r} is none of the classes"]
        if record["metadata"].get("version") != "1.7.0":
            self.faults.append("$.metadata.version: is not 1.7.0")
        self.thing(facts, record, "$", record["metadata"].get("profiles", []))
        return self.faults + self.model(facts["name"], record)

    def model(self, name, record):
        """What the package's own model says. It takes unknown attributes, which is why it is not enough."""
        from ocsf.v1_7_0 import events
        model = getattr(events, "".join(part.capitalize() for part in name.split("_")))
        try:
            model.model_validate(record)
        except Exception as fault:  # pydantic's, or the package's own
            return [f"{name}: {fault}"]
        return []


def check(path):
    checker, faults, seen = Checker(package_schema(), json.load(open(FACTS))), [], 0
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        seen += 1
        faults += [f"{path}:{number}: {fault}" for fault in checker.record(json.loads(line))]
    return faults or ([] if seen else [f"{path}: no record"])


if __name__ == "__main__":
    verbs = {"check": check, "facts": facts_are_the_packages, "write": write}
    if len(sys.argv) < 2 or sys.argv[1] not in verbs:
        sys.exit(__doc__)
    found = verbs[sys.argv[1]](*sys.argv[2:])
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(bool(found))
