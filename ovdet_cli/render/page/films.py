"""The page's videos: when each label is in view, and a strip of frames."""

from typing import Any

from ovdet_cli.analysis import footage
from ovdet_cli.render.page.shown import Shown

_MOST_VIDEOS = 50
_MOST_BANDS = 4000
_STRIP = 8


def page_videos(shown: Shown) -> tuple[list[dict[str, Any]], int]:
    """Those in which most was found, and how many there are besides."""
    table = footage.video_table(shown.store)
    videos = table.slice(0, _MOST_VIDEOS).to_pylist()
    if not videos:
        return [], 0
    source_ids = [video["source_id"] for video in videos]
    bands: dict[int, list[dict[str, Any]]] = {source_id: [] for source_id in source_ids}
    for band in footage.band_table(shown.store, source_ids).to_pylist():
        bands[band["source_id"]].append(band)
    files = shown.files(source_ids)
    each = max(_MOST_BANDS // len(videos), 20)
    entries = []
    for video in videos:
        own = bands[video["source_id"]]
        own.sort(key=lambda band: (shown.place_of[band["label_id"]], band["start_s"]))
        entries.append(
            {
                "source": video["source"],
                "href": shown.link(files.get(video["source_id"])),
                "duration_s": round(video["first_s"] + video["duration_s"], 3),
                "frames": video["frames"],
                "bands": _bands(shown, own[:each]),
                "strip": shown.pictures(_strip(shown, video["source_id"])),
            }
        )
    return entries, table.num_rows - len(videos)


def _bands(shown: Shown, bands: list[dict[str, Any]]) -> list[list[Any]]:
    """label, start_s, end_s, best_s, best score, picture: the surest bands have a picture."""
    best = sorted(bands, key=lambda band: -band["best_score"])[:_STRIP]
    with_picture = {band["frame_id"] for band in best}
    return [
        [
            *(shown.place_of[band["label_id"]], round(band["start_s"], 3), round(band["end_s"], 3)),
            *(round(band["best_s"], 3), round(band["best_score"], 4)),
            shown.pictures([band["frame_id"]])[0] if band["frame_id"] in with_picture else None,
        ]
        for band in bands
    ]


def _strip(shown: Shown, source_id: int) -> list[int]:
    """Frames spread over a video: of as many equal parts the one that shows most."""
    rows = shown.store.rows(
        f"""WITH ranged AS (
          SELECT frame_id, time_s, min(time_s) OVER () AS low, max(time_s) OVER () AS high
          FROM shown WHERE source_id = ? AND time_s IS NOT NULL
        ), parts AS (
          SELECT frame_id, time_s,
            least(floor({_STRIP} * (time_s - low) / greatest(high - low, 1e-9)), {_STRIP - 1}) AS part FROM ranged
        ), rich AS (SELECT frame_id, sum(best) AS amount FROM seen SEMI JOIN ranged USING (frame_id) GROUP BY frame_id)
        SELECT max_by(frame_id, (coalesce(amount, 0), -time_s)) FROM parts LEFT JOIN rich USING (frame_id)
        GROUP BY part ORDER BY part""",
        source_id,
    )
    return [row[0] for row in rows]
