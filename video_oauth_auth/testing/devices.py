"""Devices that ask a person to sign in somewhere else (RFC 8628): their codes, and what was decided about them."""

import re
import secrets
from dataclasses import dataclass, field
from typing import Literal

from .issued import Family
from .tokens import Ledger

LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # RFC 8628 section 6.1
SLOWER = 5  # seconds that are added to the interval by each slow_down (section 3.5)

NotYet = Literal["unknown", "expired", "slow_down", "pending", "denied"]


@dataclass(slots=True, eq=False, kw_only=True)
class Device:
    """One device authorization; moments are on the clock of the ledger.

    Attributes:
        interval: Seconds that have to lie between two token requests.
        family: The grant, once a person has approved it.
    """

    device_code: str = field(repr=False)
    user_code: str
    client_id: str
    scope: str | None
    expires_at: float
    interval: float
    polled_at: float | None = None
    denied: bool = False
    family: Family | None = None
    redeemed: bool = False


class Devices:
    """The device authorizations that were issued."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger  # its lock guards the devices
        self._settings = ledger.mint.site.settings
        self._devices: dict[str, Device] = {}

    def authorize(self, client_id: str, scope: str | None) -> Device:
        """A new device authorization."""
        letters = "".join(secrets.choice(LETTERS) for _ in range(8))
        with self._ledger.lock:
            device = Device(
                device_code=f"device-{secrets.token_urlsafe(24)}",
                user_code=f"{letters[:4]}-{letters[4:]}",
                client_id=client_id,
                scope=scope,
                expires_at=self._ledger.now() + self._settings.device_expires_in,
                interval=self._settings.device_interval,
            )
            self._ledger.learn({"device_code": device.device_code})
            self._devices[device.device_code] = device
            return device

    def decide(self, user_code: str, user: str | None) -> bool:
        """Approve what this code stands for as this user; None: deny it.

        Returns:
            Whether there is anything to decide for this code; case and dashes in it do not count.
        """
        with self._ledger.lock:
            for device in self._devices.values():
                is_open = not device.denied and device.family is None and self._ledger.now() < device.expires_at
                if is_open and _letters(device.user_code) == _letters(user_code):
                    device.denied = user is None
                    if user is not None:
                        family = self._ledger.family(user=user, client_id=device.client_id, scope=device.scope)
                        device.family = family
                    return True
            return False

    def poll(self, device_code: str, client_id: str) -> Family | NotYet:
        """The grant if it was approved, once; else why there is none."""
        with self._ledger.lock:
            device = self._devices.get(device_code)
            if device is None or device.client_id != client_id or device.redeemed:
                return "unknown"
            if self._ledger.now() >= device.expires_at:
                return "expired"
            if self._is_too_fast(device):
                device.interval += SLOWER
                return "slow_down"
            if device.denied:
                return "denied"
            if device.family is None:
                return "pending"
            device.redeemed = True
            return device.family

    def _is_too_fast(self, device: Device) -> bool:
        last, device.polled_at = device.polled_at, self._ledger.now()
        return last is not None and device.polled_at - last < device.interval


def _letters(user_code: str) -> str:
    return re.sub(r"[^A-Z]", "", user_code.upper())
