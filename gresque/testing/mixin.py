"""For tests that are classes of `unittest`, or of Django."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any, ClassVar

from gresque.testing.fake import FakeJobs
from gresque.testing.modes import fake

if TYPE_CHECKING:
    from unittest import TestCase as _Base
    from unittest import TestResult
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

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        before = takewhile(lambda base: base is not FakeJobsMixin, cls.__mro__)
        if any("run" in vars(base) and not issubclass(base, FakeJobsMixin) for base in before):
            raise TypeError(
                f"{cls.__name__}: FakeJobsMixin goes before the TestCase: "
                f"class {cls.__name__}(FakeJobsMixin, TestCase)"
            )

    def run(self, result: TestResult | None = None) -> TestResult | None:
        # Around setUp, which a class may define without calling that of its bases.
        with fake(cron=self.gresque_cron) as self.jobs:
            return super().run(result)
