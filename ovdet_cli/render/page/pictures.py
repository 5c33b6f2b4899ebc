"""The page's pictures, with their boxes and as many thumbnails as its size allows."""

from collections.abc import Iterable, Mapping
from itertools import chain, zip_longest
from typing import Any

from ovdet_cli.analysis.gallery import Chosen
from ovdet_cli.render.page.shown import MOST_BOXES, Shown, listed
from ovdet_cli.render.page.thumbs import Wanted, make_thumbs


def page_pictures(shown: Shown, chosen: Mapping[int, Chosen]) -> tuple[list[dict[str, Any]], list[str], int]:
    """One entry a frame of `shown`, in its order; the thumbnails; and how many pictures are without one.

    After everything but the posts: that of each picture is shown too, so that its text and account can be read beside
    it. chosen: the frames of each label, whose first ones have thumbnails before all others.
    """
    frame_ids = list(shown.frame_ids)
    if not frame_ids:
        return [], [], 0
    store = shown.store
    facts: dict[int, tuple[Any, ...]] = {
        row[0]: row[1:]
        for row in store.rows(
            f"""SELECT frame_id, source_id, s.name, "index", time_s, width, height, unit_id
            FROM frame JOIN source s USING (source_id) JOIN member USING (source_id)
            WHERE frame_id IN ({listed(frame_ids)})"""
        )
    }
    files = shown.files({own[0] for own in facts.values()})
    links = {source_id: shown.link(path) for source_id, path in files.items()}
    wanted = []
    for frame_id in dict.fromkeys(chain(_by_need(chosen), frame_ids)):
        if frame_id in facts and facts[frame_id][0] in files:
            source_id, _, index, time_s, *_ = facts[frame_id]
            wanted.append(Wanted(frame_id, files[source_id], index, time_s))
    made = make_thumbs(wanted, shown.options.thumb_bytes)
    thumb_of = {frame_id: place for place, frame_id in enumerate(made)}
    boxes = _boxes(shown, frame_ids)
    pictures = []
    for frame_id in frame_ids:
        source_id, name, index, time_s, width, height, unit_id = facts[frame_id]
        pictures.append(
            {
                "source": name,
                "index": index,
                "time_s": time_s,
                "width": width,
                "height": height,
                "href": links.get(source_id),
                "post": shown.posts([unit_id])[0],
                "thumb": thumb_of.get(frame_id),
                "boxes": boxes.get(frame_id, []),
            }
        )
    return pictures, list(made.values()), len(frame_ids) - len(made)


def _boxes(shown: Shown, frame_ids: Iterable[int]) -> dict[int, list[list[Any]]]:
    """frame_id -> its surest boxes of the report's labels, also those below the threshold."""
    boxes: dict[int, list[list[Any]]] = {}
    for frame_id, label_id, score, *box in shown.store.rows(
        f"""SELECT frame_id, label_id, score, x1, y1, x2, y2 FROM det WHERE frame_id IN ({listed(frame_ids)})
        AND label_id IN (SELECT label_id FROM seen) AND x1 + y1 + x2 + y2 IS NOT NULL
        QUALIFY row_number() OVER (PARTITION BY frame_id ORDER BY score DESC) <= {MOST_BOXES} ORDER BY score DESC"""
    ):
        boxes.setdefault(frame_id, []).append([shown.place_of[label_id], round(score, 4), *(round(v, 4) for v in box)])
    return boxes


def _by_need(chosen: Mapping[int, Chosen]) -> Iterable[int]:
    """All labels' first pictures before any one's second."""
    columns = [list(chain.from_iterable(zip_longest(c.surest, c.unsure, c.random))) for c in chosen.values()]
    return (frame_id for row in zip_longest(*columns) for frame_id in row if frame_id is not None)
