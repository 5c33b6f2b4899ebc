"""The page's posts: those that are shown somewhere."""

from typing import Any

from ovdet_cli.render.page.shown import MOST_BOXES, Shown, listed, moment

_MOST_TEXT = 1000
_MOST_FILES = 20


def page_posts(shown: Shown) -> list[dict[str, Any]]:
    """One entry a unit of `shown`, in its order; after everything that shows one."""
    unit_ids = listed(shown.unit_ids)
    if not unit_ids:
        return []
    store = shown.store
    files = dict(
        store.rows(
            f"""SELECT unit_id, list(s.name ORDER BY source_id) FROM member JOIN source s USING (source_id)
            WHERE unit_id IN ({unit_ids}) GROUP BY unit_id"""
        )
    )
    held: dict[int, list[tuple[int, int, float, int]]] = {}
    for unit_id, *own in store.rows(
        f"""SELECT unit_id, label_id, num, best, frame_id FROM presence WHERE unit_id IN ({unit_ids})
        ORDER BY best DESC, label_id"""
    ):
        held.setdefault(unit_id, []).append((own[0], own[1], own[2], own[3]))
    posts = {}
    for unit_id, key, account, time_us, time_from, likes, text, url, tags in store.rows(
        f"""SELECT unit_id, key, account, time_us, time_from, likes, text, url, tags FROM unit
        WHERE unit_id IN ({unit_ids})"""
    ):
        labels = held.get(unit_id, [])
        posts[unit_id] = {
            "id": key,
            "account": account,
            "time": moment(shown.report, time_us),
            "time_from": time_from or "none",
            "likes": likes,
            "text": text[:_MOST_TEXT] if text else None,
            "url": url,
            "tags": tags or [],
            "files": files.get(unit_id, [])[:_MOST_FILES],
            "labels": [
                [shown.place_of[label_id], num, round(best, 4)] for label_id, num, best, _ in labels[:MOST_BOXES]
            ],
            "picture": next((shown.frame_ids[frame] for *_, frame in labels if frame in shown.frame_ids), None),
        }
    return [posts[unit_id] for unit_id in shown.unit_ids]
