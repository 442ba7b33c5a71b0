"""For tests that are classes of `unittest`, or of Django."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from gresque.testing.fake import FakeJobs
from gresque.testing.modes import fake

if TYPE_CHECKING:
    from unittest import TestCase as _Base
else:
    _Base = object


class FakeJobsMixin(_Base):
    """Each test has a fake, as `self.jobs`.

    class SignUp(FakeJobsMixin, unittest.TestCase):
        def test_a_new_user_is_welcomed(self):
            sign_up(42)
            self.jobs.assert_enqueued(welcome, 42)
    """

    gresque_cron: ClassVar[bool] = False
    """Whether the schedules that the code declares follow `self.jobs.advance`."""
    jobs: FakeJobs

    def setUp(self) -> None:
        super().setUp()
        self.jobs = self.enterContext(fake(cron=self.gresque_cron))
