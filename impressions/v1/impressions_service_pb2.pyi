from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GroupBy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GROUP_BY_UNSPECIFIED: _ClassVar[GroupBy]
    GROUP_BY_TITLE: _ClassVar[GroupBy]
    GROUP_BY_TITLE_AND_LOCATION: _ClassVar[GroupBy]

class IncompleteReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INCOMPLETE_REASON_UNSPECIFIED: _ClassVar[IncompleteReason]
    INCOMPLETE_REASON_PAST_TAIL_HORIZON: _ClassVar[IncompleteReason]
    INCOMPLETE_REASON_NO_GENERATION: _ClassVar[IncompleteReason]
    INCOMPLETE_REASON_STREAM_BEHIND: _ClassVar[IncompleteReason]
    INCOMPLETE_REASON_DELTAS_MISSING: _ClassVar[IncompleteReason]
    INCOMPLETE_REASON_RESTORING: _ClassVar[IncompleteReason]
GROUP_BY_UNSPECIFIED: GroupBy
GROUP_BY_TITLE: GroupBy
GROUP_BY_TITLE_AND_LOCATION: GroupBy
INCOMPLETE_REASON_UNSPECIFIED: IncompleteReason
INCOMPLETE_REASON_PAST_TAIL_HORIZON: IncompleteReason
INCOMPLETE_REASON_NO_GENERATION: IncompleteReason
INCOMPLETE_REASON_STREAM_BEHIND: IncompleteReason
INCOMPLETE_REASON_DELTAS_MISSING: IncompleteReason
INCOMPLETE_REASON_RESTORING: IncompleteReason

class Projection(_message.Message):
    __slots__ = ("title_ids", "locations", "measures", "half_lives_days", "group_by", "top_k", "include_totals", "include_last_seen", "include_ema_rates", "include_plays_per_impression", "omit_decayed")
    TITLE_IDS_FIELD_NUMBER: _ClassVar[int]
    LOCATIONS_FIELD_NUMBER: _ClassVar[int]
    MEASURES_FIELD_NUMBER: _ClassVar[int]
    HALF_LIVES_DAYS_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_TOTALS_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_LAST_SEEN_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_EMA_RATES_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_PLAYS_PER_IMPRESSION_FIELD_NUMBER: _ClassVar[int]
    OMIT_DECAYED_FIELD_NUMBER: _ClassVar[int]
    title_ids: _containers.RepeatedScalarFieldContainer[int]
    locations: _containers.RepeatedScalarFieldContainer[int]
    measures: _containers.RepeatedScalarFieldContainer[str]
    half_lives_days: _containers.RepeatedScalarFieldContainer[int]
    group_by: GroupBy
    top_k: TopK
    include_totals: bool
    include_last_seen: bool
    include_ema_rates: bool
    include_plays_per_impression: bool
    omit_decayed: bool
    def __init__(self, title_ids: _Optional[_Iterable[int]] = ..., locations: _Optional[_Iterable[int]] = ..., measures: _Optional[_Iterable[str]] = ..., half_lives_days: _Optional[_Iterable[int]] = ..., group_by: _Optional[_Union[GroupBy, str]] = ..., top_k: _Optional[_Union[TopK, _Mapping]] = ..., include_totals: _Optional[bool] = ..., include_last_seen: _Optional[bool] = ..., include_ema_rates: _Optional[bool] = ..., include_plays_per_impression: _Optional[bool] = ..., omit_decayed: _Optional[bool] = ...) -> None: ...

class TopK(_message.Message):
    __slots__ = ("k", "measure", "half_life_days")
    K_FIELD_NUMBER: _ClassVar[int]
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    HALF_LIFE_DAYS_FIELD_NUMBER: _ClassVar[int]
    k: int
    measure: str
    half_life_days: int
    def __init__(self, k: _Optional[int] = ..., measure: _Optional[str] = ..., half_life_days: _Optional[int] = ...) -> None: ...

class GetProfileRequest(_message.Message):
    __slots__ = ("profile_id", "projection", "query_time_ms")
    PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECTION_FIELD_NUMBER: _ClassVar[int]
    QUERY_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    profile_id: int
    projection: Projection
    query_time_ms: int
    def __init__(self, profile_id: _Optional[int] = ..., projection: _Optional[_Union[Projection, _Mapping]] = ..., query_time_ms: _Optional[int] = ...) -> None: ...

class GetProfileResponse(_message.Message):
    __slots__ = ("answer",)
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    answer: ProfileAnswer
    def __init__(self, answer: _Optional[_Union[ProfileAnswer, _Mapping]] = ...) -> None: ...

class BatchGetProfilesRequest(_message.Message):
    __slots__ = ("profile_ids", "projection", "query_time_ms")
    PROFILE_IDS_FIELD_NUMBER: _ClassVar[int]
    PROJECTION_FIELD_NUMBER: _ClassVar[int]
    QUERY_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    profile_ids: _containers.RepeatedScalarFieldContainer[int]
    projection: Projection
    query_time_ms: int
    def __init__(self, profile_ids: _Optional[_Iterable[int]] = ..., projection: _Optional[_Union[Projection, _Mapping]] = ..., query_time_ms: _Optional[int] = ...) -> None: ...

class BatchGetProfilesResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ProfileResult]
    def __init__(self, results: _Optional[_Iterable[_Union[ProfileResult, _Mapping]]] = ...) -> None: ...

class StreamProfilesRequest(_message.Message):
    __slots__ = ("request_id", "profile_id", "projection", "query_time_ms")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECTION_FIELD_NUMBER: _ClassVar[int]
    QUERY_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    profile_id: int
    projection: Projection
    query_time_ms: int
    def __init__(self, request_id: _Optional[int] = ..., profile_id: _Optional[int] = ..., projection: _Optional[_Union[Projection, _Mapping]] = ..., query_time_ms: _Optional[int] = ...) -> None: ...

class StreamProfilesResponse(_message.Message):
    __slots__ = ("request_id", "result")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    result: ProfileResult
    def __init__(self, request_id: _Optional[int] = ..., result: _Optional[_Union[ProfileResult, _Mapping]] = ...) -> None: ...

class ProfileResult(_message.Message):
    __slots__ = ("profile_id", "status", "answer")
    PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    profile_id: int
    status: ResultStatus
    answer: ProfileAnswer
    def __init__(self, profile_id: _Optional[int] = ..., status: _Optional[_Union[ResultStatus, _Mapping]] = ..., answer: _Optional[_Union[ProfileAnswer, _Mapping]] = ...) -> None: ...

class ResultStatus(_message.Message):
    __slots__ = ("code", "message", "reason")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    reason: str
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class AnswerContext(_message.Message):
    __slots__ = ("generation_id", "cutover_ms", "stream_through_ms", "query_time_ms", "complete", "reasons")
    GENERATION_ID_FIELD_NUMBER: _ClassVar[int]
    CUTOVER_MS_FIELD_NUMBER: _ClassVar[int]
    STREAM_THROUGH_MS_FIELD_NUMBER: _ClassVar[int]
    QUERY_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    generation_id: str
    cutover_ms: int
    stream_through_ms: int
    query_time_ms: int
    complete: bool
    reasons: _containers.RepeatedScalarFieldContainer[IncompleteReason]
    def __init__(self, generation_id: _Optional[str] = ..., cutover_ms: _Optional[int] = ..., stream_through_ms: _Optional[int] = ..., query_time_ms: _Optional[int] = ..., complete: _Optional[bool] = ..., reasons: _Optional[_Iterable[_Union[IncompleteReason, str]]] = ...) -> None: ...

class ProfileAnswer(_message.Message):
    __slots__ = ("profile_id", "context", "matched_rows", "title_ids", "locations", "last_seen_ms", "totals", "decayed", "ema_rates", "plays_per_impression")
    PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    MATCHED_ROWS_FIELD_NUMBER: _ClassVar[int]
    TITLE_IDS_FIELD_NUMBER: _ClassVar[int]
    LOCATIONS_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_MS_FIELD_NUMBER: _ClassVar[int]
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    DECAYED_FIELD_NUMBER: _ClassVar[int]
    EMA_RATES_FIELD_NUMBER: _ClassVar[int]
    PLAYS_PER_IMPRESSION_FIELD_NUMBER: _ClassVar[int]
    profile_id: int
    context: AnswerContext
    matched_rows: int
    title_ids: _containers.RepeatedScalarFieldContainer[int]
    locations: _containers.RepeatedScalarFieldContainer[int]
    last_seen_ms: _containers.RepeatedScalarFieldContainer[int]
    totals: _containers.RepeatedCompositeFieldContainer[TotalColumn]
    decayed: _containers.RepeatedCompositeFieldContainer[DecayedColumn]
    ema_rates: _containers.RepeatedCompositeFieldContainer[DecayedColumn]
    plays_per_impression: _containers.RepeatedCompositeFieldContainer[RatioColumn]
    def __init__(self, profile_id: _Optional[int] = ..., context: _Optional[_Union[AnswerContext, _Mapping]] = ..., matched_rows: _Optional[int] = ..., title_ids: _Optional[_Iterable[int]] = ..., locations: _Optional[_Iterable[int]] = ..., last_seen_ms: _Optional[_Iterable[int]] = ..., totals: _Optional[_Iterable[_Union[TotalColumn, _Mapping]]] = ..., decayed: _Optional[_Iterable[_Union[DecayedColumn, _Mapping]]] = ..., ema_rates: _Optional[_Iterable[_Union[DecayedColumn, _Mapping]]] = ..., plays_per_impression: _Optional[_Iterable[_Union[RatioColumn, _Mapping]]] = ...) -> None: ...

class TotalColumn(_message.Message):
    __slots__ = ("measure", "values")
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    measure: str
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, measure: _Optional[str] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...

class DecayedColumn(_message.Message):
    __slots__ = ("measure", "half_life_days", "values")
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    HALF_LIFE_DAYS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    measure: str
    half_life_days: int
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, measure: _Optional[str] = ..., half_life_days: _Optional[int] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...

class RatioColumn(_message.Message):
    __slots__ = ("half_life_days", "values")
    HALF_LIFE_DAYS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    half_life_days: int
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, half_life_days: _Optional[int] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DescribeResponse(_message.Message):
    __slots__ = ("spec", "generation", "partitions", "partitioner", "shards", "complete", "reasons", "limits", "server_version", "stream_through_ms", "streams")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    PARTITIONER_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    STREAM_THROUGH_MS_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    spec: Spec
    generation: ServedGeneration
    partitions: int
    partitioner: str
    shards: _containers.RepeatedScalarFieldContainer[int]
    complete: bool
    reasons: _containers.RepeatedScalarFieldContainer[IncompleteReason]
    limits: Limits
    server_version: str
    stream_through_ms: int
    streams: _containers.RepeatedCompositeFieldContainer[ShardStream]
    def __init__(self, spec: _Optional[_Union[Spec, _Mapping]] = ..., generation: _Optional[_Union[ServedGeneration, _Mapping]] = ..., partitions: _Optional[int] = ..., partitioner: _Optional[str] = ..., shards: _Optional[_Iterable[int]] = ..., complete: _Optional[bool] = ..., reasons: _Optional[_Iterable[_Union[IncompleteReason, str]]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., server_version: _Optional[str] = ..., stream_through_ms: _Optional[int] = ..., streams: _Optional[_Iterable[_Union[ShardStream, _Mapping]]] = ...) -> None: ...

class ShardStream(_message.Message):
    __slots__ = ("shard", "through_ms", "since_ms", "restoring", "reasons")
    SHARD_FIELD_NUMBER: _ClassVar[int]
    THROUGH_MS_FIELD_NUMBER: _ClassVar[int]
    SINCE_MS_FIELD_NUMBER: _ClassVar[int]
    RESTORING_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    shard: int
    through_ms: int
    since_ms: int
    restoring: bool
    reasons: _containers.RepeatedScalarFieldContainer[IncompleteReason]
    def __init__(self, shard: _Optional[int] = ..., through_ms: _Optional[int] = ..., since_ms: _Optional[int] = ..., restoring: _Optional[bool] = ..., reasons: _Optional[_Iterable[_Union[IncompleteReason, str]]] = ...) -> None: ...

class Spec(_message.Message):
    __slots__ = ("fingerprint", "measures", "half_lives_days", "window_days", "tail_days", "slot_ms")
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    MEASURES_FIELD_NUMBER: _ClassVar[int]
    HALF_LIVES_DAYS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_DAYS_FIELD_NUMBER: _ClassVar[int]
    TAIL_DAYS_FIELD_NUMBER: _ClassVar[int]
    SLOT_MS_FIELD_NUMBER: _ClassVar[int]
    fingerprint: str
    measures: _containers.RepeatedScalarFieldContainer[str]
    half_lives_days: _containers.RepeatedScalarFieldContainer[int]
    window_days: int
    tail_days: int
    slot_ms: int
    def __init__(self, fingerprint: _Optional[str] = ..., measures: _Optional[_Iterable[str]] = ..., half_lives_days: _Optional[_Iterable[int]] = ..., window_days: _Optional[int] = ..., tail_days: _Optional[int] = ..., slot_ms: _Optional[int] = ...) -> None: ...

class ServedGeneration(_message.Message):
    __slots__ = ("generation_id", "cutover_ms", "horizon_ms", "profiles", "entries", "raw_snapshot_id", "ema_snapshot_id")
    GENERATION_ID_FIELD_NUMBER: _ClassVar[int]
    CUTOVER_MS_FIELD_NUMBER: _ClassVar[int]
    HORIZON_MS_FIELD_NUMBER: _ClassVar[int]
    PROFILES_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    RAW_SNAPSHOT_ID_FIELD_NUMBER: _ClassVar[int]
    EMA_SNAPSHOT_ID_FIELD_NUMBER: _ClassVar[int]
    generation_id: str
    cutover_ms: int
    horizon_ms: int
    profiles: int
    entries: int
    raw_snapshot_id: int
    ema_snapshot_id: int
    def __init__(self, generation_id: _Optional[str] = ..., cutover_ms: _Optional[int] = ..., horizon_ms: _Optional[int] = ..., profiles: _Optional[int] = ..., entries: _Optional[int] = ..., raw_snapshot_id: _Optional[int] = ..., ema_snapshot_id: _Optional[int] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("max_batch", "max_titles", "max_request_bytes", "max_answer_bytes")
    MAX_BATCH_FIELD_NUMBER: _ClassVar[int]
    MAX_TITLES_FIELD_NUMBER: _ClassVar[int]
    MAX_REQUEST_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_ANSWER_BYTES_FIELD_NUMBER: _ClassVar[int]
    max_batch: int
    max_titles: int
    max_request_bytes: int
    max_answer_bytes: int
    def __init__(self, max_batch: _Optional[int] = ..., max_titles: _Optional[int] = ..., max_request_bytes: _Optional[int] = ..., max_answer_bytes: _Optional[int] = ...) -> None: ...
