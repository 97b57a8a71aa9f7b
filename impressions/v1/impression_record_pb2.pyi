from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ImpressionRecord(_message.Message):
    __slots__ = ("logs",)
    LOGS_FIELD_NUMBER: _ClassVar[int]
    logs: _containers.RepeatedCompositeFieldContainer[ImpressionLog]
    def __init__(self, logs: _Optional[_Iterable[_Union[ImpressionLog, _Mapping]]] = ...) -> None: ...

class ImpressionLog(_message.Message):
    __slots__ = ("log_id", "profile_id", "device", "title_ids", "locations", "rows", "positions", "event_time_ms", "played", "dwell_s")
    LOG_ID_FIELD_NUMBER: _ClassVar[int]
    PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    TITLE_IDS_FIELD_NUMBER: _ClassVar[int]
    LOCATIONS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    PLAYED_FIELD_NUMBER: _ClassVar[int]
    DWELL_S_FIELD_NUMBER: _ClassVar[int]
    log_id: int
    profile_id: int
    device: Device
    title_ids: _containers.RepeatedScalarFieldContainer[int]
    locations: _containers.RepeatedScalarFieldContainer[int]
    rows: _containers.RepeatedScalarFieldContainer[int]
    positions: _containers.RepeatedScalarFieldContainer[int]
    event_time_ms: _containers.RepeatedScalarFieldContainer[int]
    played: _containers.RepeatedScalarFieldContainer[bool]
    dwell_s: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, log_id: _Optional[int] = ..., profile_id: _Optional[int] = ..., device: _Optional[_Union[Device, _Mapping]] = ..., title_ids: _Optional[_Iterable[int]] = ..., locations: _Optional[_Iterable[int]] = ..., rows: _Optional[_Iterable[int]] = ..., positions: _Optional[_Iterable[int]] = ..., event_time_ms: _Optional[_Iterable[int]] = ..., played: _Optional[_Iterable[bool]] = ..., dwell_s: _Optional[_Iterable[float]] = ...) -> None: ...

class Device(_message.Message):
    __slots__ = ("type", "app_version")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    APP_VERSION_FIELD_NUMBER: _ClassVar[int]
    type: str
    app_version: str
    def __init__(self, type: _Optional[str] = ..., app_version: _Optional[str] = ...) -> None: ...
