"""Judges raw replies by botocore's EC2 service model: AWS's own description of what EC2 may say."""

import re
import xml.etree.ElementTree as ElementTree

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
STATUS = {
    "AuthFailure": 401,
    "UnauthorizedOperation": 403,
    "DryRunOperation": 412,
    "InternalError": 500,
    "InsufficientInstanceCapacity": 500,
    "RequestLimitExceeded": 503,
}


def judge(operation, status, body):
    """Everything that is wrong with a reply; `operation` is botocore's model of the call."""
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError as error:
        return [f"not XML: {error}"]
    if status != 200:
        return list(_error(status, root))
    wrong = []
    if root.tag != f"{{{NAMESPACE}}}{operation.name}Response":
        wrong.append(f"the root is {root.tag}")
    wrong.extend(_structure(operation.name, operation.output_shape, root, {"requestId"}))
    if not root.findtext(f"{{{NAMESPACE}}}requestId"):
        wrong.append("no requestId")
    return wrong


def _error(status, root):
    if [root.tag] + [child.tag for child in root] != ["Response", "Errors", "RequestID"]:
        yield f"an error is Response/Errors,RequestID, not {root.tag}/{[child.tag for child in root]}"
        return
    errors = list(root[0])
    if [error.tag for error in errors] != ["Error"]:
        yield f"Errors holds {[error.tag for error in errors]}"
        return
    if [child.tag for child in errors[0]] != ["Code", "Message"]:
        yield f"Error holds {[child.tag for child in errors[0]]}"
        return
    code, message = errors[0][0].text, errors[0][1].text
    if not code or not message or not root[1].text:
        yield "an empty Code, Message or RequestID"
    if status != STATUS.get(code, 400):
        yield f"{code} comes with {STATUS.get(code, 400)}, not {status}"


def _name(element):
    return element.tag.removeprefix(f"{{{NAMESPACE}}}")


def _value(path, shape, element):
    kind = shape.type_name
    if kind == "structure":
        yield from _structure(path, shape, element, set())
        return
    if kind == "list":
        item = shape.member.serialization.get("name", "item")
        for child in element:
            if _name(child) != item:
                yield f"{path}: an entry is {item}, not {_name(child)}"
            else:
                yield from _value(f"{path}[]", shape.member, child)
        return
    text = element.text or ""
    if len(element):
        yield f"{path}: elements in a {kind}"
    elif kind == "boolean" and text not in ("true", "false"):
        yield f"{path}: {text!r} is no boolean"
    elif kind in ("integer", "long") and not re.fullmatch(r"-?\d+", text):
        yield f"{path}: {text!r} is no number"
    elif kind == "timestamp" and not TIMESTAMP.fullmatch(text):
        yield f"{path}: {text!r} is no time"
    elif getattr(shape, "enum", None) and text not in shape.enum:
        yield f"{path}: {text!r} is not among {shape.enum[:9]}"


def _structure(path, shape, element, also):
    members = {} if shape is None else {
        member.serialization.get("name", name): member for name, member in shape.members.items()
    }
    if shape is None:
        also = also | {"return"}
    seen = set()
    for child in element:
        name = _name(child)
        if name in seen:
            yield f"{path}: {name} twice"
        seen.add(name)
        if name in members:
            yield from _value(f"{path}.{name}", members[name], child)
        elif name not in also:
            yield f"{path}: EC2 has no {name} there"
