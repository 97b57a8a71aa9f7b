"""The spec, for tasks: driver and executors know the same one, or the task refuses."""

from __future__ import annotations

from dataclasses import dataclass

from impressions.core.errors import Refused
from impressions.core.spec import Spec


@dataclass(frozen=True)
class SpecOf:
    """The driver's spec: what settings may change of it, and its fingerprint."""

    slot_ms: int
    fingerprint: str

    @classmethod
    def of(cls, spec: Spec) -> SpecOf:
        return cls(spec.slot_ms, spec.fingerprint)

    def known(self) -> Spec:
        """The spec, as this process knows it. Raises Refused if the driver knows another."""
        spec = Spec(slot_ms=self.slot_ms)
        if spec.fingerprint != self.fingerprint:
            raise Refused(
                f"executor: spec fingerprint {spec.fingerprint}, the driver has {self.fingerprint}",
                hint="install the same version of impressions on driver and executors",
                reason="wrong_spec",
            )
        return spec
