from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovdet_cli.analysis.name_dates import NameDates
from ovdet_cli.errors import UsageError

BERLIN = ZoneInfo("Europe/Berlin")
USUAL = NameDates(BERLIN)
DAY = datetime(2024, 5, 16, 22, tzinfo=UTC)
MOMENT = datetime(2024, 5, 17, 16, 33, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("2024-05-17_18-33-02.jpg", MOMENT),
        ("feed/2024-05-17_16-33-02_UTC_2.jpg", MOMENT),
        ("20240517_183302.mp4", MOMENT),
        ("VID_20240517_183302_HDR.mp4", MOMENT),
        ("20240517183302.png", MOMENT),
        ("Screenshot_20240517-183302_Chrome.jpg", MOMENT),
        ("Screenshot 2024-05-17 at 18.33.02.png", MOMENT),
        ("Screen Shot 2024-05-17 at 6.33.02 PM.png", MOMENT),
        ("WhatsApp Image 2024-05-17 at 18.33.02.jpeg", MOMENT),
        ("signal-2024-05-17-18-33-02-123.jpg", MOMENT),
        ("photo_2024-05-17T16:33:02Z.jpg", MOMENT),
        ("IMG_20240517.jpg", DAY),
        ("IMG-20240517-WA0007.jpg", DAY),
        ("2024-05-17.jpg", DAY),
        ("2024-05-17_99-99-99.jpg", DAY),
        ("FB_IMG_1715963582000.jpg", MOMENT),
        ("12345678_20240517.jpg", DAY),
        *((name, None) for name in ("IMG_1234.jpg", "20241350.jpg", "19451231.jpg", "99991231.jpg", "20240230.jpg")),
        *((name, None) for name in ("1782345678901234567_1.jpg", "120240517.jpg", "20240517123.jpg", "2024.jpg", "")),
        ("2024-05-17/pizza.jpg", None),
    ],
)
def test_dates_in_the_usual_names(name: str, moment: datetime | None) -> None:
    assert USUAL.find(name) == moment


@pytest.mark.parametrize(
    ("pattern", "name", "moment"),
    [
        ("%Y-%m-%d_%H-%M-%S", "alice 2024-05-17_18-33-02 x.jpg", MOMENT),
        ("%d.%m.%y", "17.05.24.jpg", DAY),
        ("%Y/%m/%d/", "2024/05/17/pizza.jpg", DAY),
        ("snap_%s", "snap_1715963582.jpg", MOMENT),
        ("%Y%j", "2024138.jpg", DAY),
        (r"(?P<month>\d\d)(?P<day>\d\d)(?P<year>\d{4})", "05172024.jpg", DAY),
        ("%Y-%m-%d", "2024-02-30.jpg", None),
        ("%Y-%m-%d", "20240517.jpg", None),
    ],
)
def test_a_pattern_is_found_anywhere(pattern: str, name: str, moment: datetime | None) -> None:
    assert NameDates(BERLIN, pattern).find(name) == moment


@pytest.mark.parametrize("pattern", ["%Q", "%H-%M", "(?P<year>", "%", "nothing", r"(?P<month>\d\d)"])
def test_a_pattern_that_cannot_work_is_an_error(pattern: str) -> None:
    with pytest.raises(UsageError, match="date-pattern"):
        NameDates(BERLIN, pattern)


@given(st.one_of(st.text(max_size=60), st.from_regex(r"[0-9_ .:TZ-]{1,40}", fullmatch=True)))
def test_any_name_has_a_plausible_date_or_none(name: str) -> None:
    moment = USUAL.find(name)
    assert moment is None or 1989 <= moment.year <= datetime.now(UTC).year + 1
