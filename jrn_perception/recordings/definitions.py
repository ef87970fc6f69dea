# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The message types of a recording: ROS 2's own wherever the recorded layout is the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TYPE_CHECKING

from jrn_perception.messages.label_info import typestore

if TYPE_CHECKING:
    from rosbags.interfaces import Connection
    from rosbags.typesys.store import Typestore

HEADER = 'std_msgs/msg/Header'


def plain_type(name: str) -> str:
    """Return a type's name as ROS 2 writes it, sensor_msgs/msg/Image, for any other writing."""
    parts = name.replace('::', '/').split('/')
    return '/'.join((parts[0], 'msg', parts[-1])) if len(parts) == 2 else '/'.join(parts)


class Definitions:
    """
    The message types that a recording defines, and the common types of ROS 2.

    A type with the layout of the common type is read as the common type, whatever its fields are
    called: ROS 1 calls a camera matrix K. A definition that cannot be parsed counts as missing:
    it must not make other topics unreadable.
    """

    def __init__(self, connections: Iterable[Connection]):
        from rosbags.typesys import get_typestore, Stores

        self._common = typestore()
        self._own = get_typestore(Stores.EMPTY)
        # ROS 1's header has a counter, which is dropped with the conversion to CDR.
        self._own.register({HEADER: self._common.fielddefs[HEADER]})
        for connection in connections:
            if plain_type(connection.msgtype) in self._own.fielddefs:
                continue
            try:
                types = _parse(connection)
                self._own.register({name: fields for name, fields in types.items()
                                    if name not in self._own.fielddefs})
            # Definitions are texts from anywhere; the parser raises many types.
            except Exception:  # noqa: B902, BLE001
                continue
        self._stores: dict[str, Typestore | None] = {}

    def store(self, msgtype: str) -> Typestore | None:
        """Return the type store that has a type, None for a type that nobody defines."""
        if msgtype not in self._stores:
            common, own = self._common, self._own
            if msgtype in own.fielddefs and not _same_layout(own, common, msgtype):
                self._stores[msgtype] = own
            else:
                self._stores[msgtype] = common if msgtype in common.fielddefs else None
        return self._stores[msgtype]

    def is_common(self, msgtype: str) -> bool:
        """Return whether the recorded layout of a type is the layout of the common type."""
        return self.store(msgtype) is self._common

    def decode(self, msgtype: str, data: bytes) -> Any:
        """Return the message in CDR data; errors of many types for damaged data."""
        store = self.store(msgtype)
        if store is None:
            raise ValueError(f'the recording does not define {msgtype}, which is no common type')
        return store.deserialize_cdr(data, msgtype)

    def to_cdr(self, msgtype: str, data: bytes) -> bytes:
        """Return the CDR data of a message of ROS 1; errors of many types for damaged data."""
        return bytes(self._own.ros1_to_cdr(data, msgtype))


def _parse(connection: Connection) -> dict[str, Any]:
    """Return the types in a connection's definition."""
    from rosbags.interfaces import MessageDefinitionFormat
    from rosbags.typesys import get_types_from_idl, get_types_from_msg

    form, text = connection.msgdef
    if form == MessageDefinitionFormat.NONE:
        return {}
    if form == MessageDefinitionFormat.MSG:
        return get_types_from_msg(text, plain_type(connection.msgtype))
    # Several definitions, each below a line of its own.
    separator = '=' * 80 + '\n'
    if not text.startswith(f'{separator}IDL: '):
        return get_types_from_idl(text)
    types: dict[str, Any] = {}
    for part in text.split(separator)[1:]:
        types.update(get_types_from_idl(part.partition('\n')[2]))
    return types


def _same_layout(own: Typestore, common: Typestore, name: str) -> bool:
    """Return whether both stores have a type with the same fields, apart from their names."""
    if name not in own.fielddefs or name not in common.fielddefs:
        return False
    mine, theirs = (store.fielddefs[name][1] for store in (own, common))
    return len(mine) == len(theirs) and all(
        a == b and all(_same_layout(own, common, part) for part in _parts(a))
        for (_, a), (_, b) in zip(mine, theirs))


def _parts(field: Any) -> list[str]:
    """Return the name of the type that a field contains, if it is not a basic type."""
    from rosbags.interfaces import Nodetype

    kind, content = field
    if kind == Nodetype.NAME:
        return [content]
    return _parts(content[0]) if kind in (Nodetype.ARRAY, Nodetype.SEQUENCE) else []
