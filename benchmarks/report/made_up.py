"""A made-up run of posts, as large as asked: records and metadata as a run and a downloader leave them.

    python -m benchmarks.report.made_up FOLDER [--posts 1000000] [--labels 800]

Ten detections a post on average, some posts with none; labels and accounts as frequent as words are (Zipf); a year of
posts. Pictures are not made.
"""

import argparse
from pathlib import Path

import duckdb
import orjson

_RECORDS = """
COPY (
  WITH post AS (
    SELECT i, CASE WHEN hash(i || ',1') % 20 = 0 THEN 0 ELSE 1 + (hash(i || ',2') % 20)::INT END AS num
    FROM range({posts}) t(i)
  ), found AS (
    SELECT i, j, hash(i || ',' || j || ',3') / 18446744073709551616.0 AS u,
      hash(i || ',' || j || ',4') / 18446744073709551616.0 AS s,
      hash(i || ',' || j || ',5') / 18446744073709551616.0 AS x,
      hash(i || ',' || j || ',6') / 18446744073709551616.0 AS y,
      hash(i || ',' || j || ',7') / 18446744073709551616.0 AS w
    FROM post, unnest(range(num)) v(j)
  ), listed AS (
    SELECT i, list({{
      'label': 'thing ' || (pow({labels} + 1, u)::INT - 1)::VARCHAR, 'class_id': pow({labels} + 1, u)::INT - 1,
      'score': round(0.3 + 0.69 * s * s, 6)::FLOAT,
      'box_xyxy': [(x * 600)::FLOAT, (y * 400)::FLOAT, (x * 600 + 20 + w * 400)::FLOAT, (y * 400 + 20 + w * 300)::FLOAT]
    }} ORDER BY j) AS detections FROM found GROUP BY i
  )
  SELECT 'ovdet/1' AS "schema", 'feed/' || lpad(i::VARCHAR, 9, '0') || '.jpg' AS source, 0 AS "index",
    NULL::DOUBLE AS time_s, 1080 AS width, 810 AS height, 'ok' AS status, coalesce(detections, []) AS detections
  FROM post LEFT JOIN listed USING (i) ORDER BY i
) TO '{path}' (FORMAT json)
"""

_METADATA = """
COPY (
  SELECT 'feed/' || lpad(i::VARCHAR, 9, '0') || '.jpg' AS file, 'p' || i AS post_id,
    'account_' || (pow(5000, hash(i || ',8') / 18446744073709551616.0)::INT)::VARCHAR AS account,
    strftime(TIMESTAMP '2025-10-01' + INTERVAL (hash(i || ',9') % 31536000) SECOND, '%Y-%m-%dT%H:%M:%SZ') AS created_at,
    (exp(12 * (hash(i || ',10') / 18446744073709551616.0)))::INT AS likes,
    'text of post ' || i || ' #tag' || i % 50 AS text
  FROM range({posts}) t(i)
) TO '{path}' (FORMAT csv, HEADER)
"""


def make(folder: Path, posts: int, labels: int) -> None:
    """detections.jsonl, run.json and metadata.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute("SET preserve_insertion_order = true; SET memory_limit = '4GB'")
        connection.execute(f"SET temp_directory = '{folder / 'spill'}'")
        connection.execute(_RECORDS.format(posts=posts, labels=labels, path=folder / "detections.jsonl"))
        connection.execute(_METADATA.format(posts=posts, path=folder / "metadata.csv"))
    info = {
        "schema": "ovdet/1",
        "status": "done",
        "model": {"name": "made-up"},
        "settings": {"threshold": 0.5, "record_threshold": 0.3},
        "counts": {"inputs": posts},
    }
    (folder / "run.json").write_bytes(orjson.dumps(info))


def main() -> None:
    """Makes it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--posts", type=int, default=1_000_000)
    parser.add_argument("--labels", type=int, default=800)
    asked = parser.parse_args()
    make(asked.folder, asked.posts, asked.labels)


if __name__ == "__main__":
    main()
