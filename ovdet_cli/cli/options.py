"""Options of `ovdet detect` and `ovdet video`, as Annotated aliases."""

from pathlib import Path
from typing import Annotated, Literal

import typer

_WORDS, _MODEL, _OUTPUT = "Words", "Model", "Output"
_DETECTION, _VIDEO, _RUNNING = "Detection", "Video", "Running"
_ENCODING = "Video that is written"
_INDEX, _LOOKING = "Index", "Looking at it"

Paths = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH...",
        help="Folders (walked recursively), files, http(s) addresses, quoted globs, frame_%05d.png (numbered pictures "
        "that are one video), @list.txt, or - for a list on standard input. A GIF or APNG that moves is a video.",
        show_default=False,
    ),
]

Vocab = Annotated[
    str | None,
    typer.Option(
        "--vocab",
        metavar="FILE|NAME",
        rich_help_panel=_WORDS,
        help="Words to look for: a UTF-8 text file, one name a line; or builtin, lvis, coco, openimages, "
        "objects365, imagenet21k; or model for the checkpoint's own classes. Default: the model's own list.",
    ),
]
Classes = Annotated[
    str | None,
    typer.Option("--classes", metavar="A,B", rich_help_panel=_WORDS, help='Words between commas: "cat,hot dog".'),
]
Embeddings = Annotated[
    Path | None,
    typer.Option(
        "--embeddings",
        metavar="FILE",
        rich_help_panel=_WORDS,
        help="Ready text embeddings (.npy or .safetensors, classes x width) in the vocabulary's order.",
    ),
]

Novel = Annotated[
    Path | None,
    typer.Option(
        "--novel",
        metavar="FILE",
        rich_help_panel=_WORDS,
        help="ViLD-ensemble, DITO, F-VLM: names that count as novel, one a line. Default: the official ones.",
    ),
]

Background = Annotated[
    Path | None,
    typer.Option(
        "--background",
        metavar="FILE",
        rich_help_panel=_WORDS,
        help="DITO, F-VLM: embeddings of the background and of the padding, two rows. Default: the official ones.",
    ),
]
TextRows = Annotated[
    int | None,
    typer.Option(
        "--text-rows",
        min=1,
        rich_help_panel=_WORDS,
        help="DITO, F-VLM: rows that the texts are padded to. Default: the official 1204 or 91.",
    ),
]

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        rich_help_panel=_MODEL,
        help="A model of `ovdet models list`. Default: the one of `ovdet models use`, else builtin.",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option("--weights", metavar="FILE", rich_help_panel=_MODEL, help="A checkpoint: .pth, .safetensors, .index."),
]
Device = Annotated[
    str, typer.Option("--device", metavar="DEVICE", rich_help_panel=_MODEL, help="auto, cpu, cuda, cuda:N or mps.")
]
Precision = Annotated[
    Literal["auto", "fp32", "bf16", "fp16"],
    typer.Option("--precision", rich_help_panel=_MODEL, help="What backbone and pyramid compute in."),
]
Batch = Annotated[
    int | None,
    typer.Option(
        "--batch",
        min=1,
        rich_help_panel=_MODEL,
        help="Pictures that go through the network together; halved when memory runs out. Default: 8 on a GPU, else 1.",
    ),
]
ShortSide = Annotated[
    int | None,
    typer.Option("--imgsz", min=1, rich_help_panel=_MODEL, help="Shorter side of the network's input, in pixels."),
]
MaxSize = Annotated[
    int | None,
    typer.Option("--max-size", min=1, rich_help_panel=_MODEL, help="Limit of the longer side of the network's input."),
]

Threshold = Annotated[
    float | None,
    typer.Option(
        "--threshold", "--conf", min=0, max=1, rich_help_panel=_DETECTION, help="Draw and count scores above this."
    ),
]
RecordThreshold = Annotated[
    float | None,
    typer.Option(
        "--record-threshold",
        min=0,
        max=1,
        rich_help_panel=_DETECTION,
        help="Record weaker detections too, above this. Default: the threshold.",
    ),
]
NmsIou = Annotated[
    float | None,
    typer.Option("--nms", "--iou", min=0, max=1, rich_help_panel=_DETECTION, help="IoU of suppression in a class."),
]
MaxDet = Annotated[
    int | None, typer.Option("--max-det", min=1, rich_help_panel=_DETECTION, help="Detections a picture, at most.")
]
OneClass = Annotated[
    bool | None,
    typer.Option(
        "--one-class/--all-classes",
        rich_help_panel=_DETECTION,
        help="Whether a region takes its best class only, or every class above the threshold.",
    ),
]

Post = Annotated[
    str,
    typer.Option(
        "--post",
        metavar="RULES",
        rich_help_panel=_DETECTION,
        help="Rules that make detections of regions: official, or vild-demo for those of ViLD's notebook.",
    ),
]

QueryPost = Annotated[
    str | None,
    typer.Option(
        "--post", metavar="RULES", rich_help_panel=_DETECTION, help="As in detect. Default: the rules of the run."
    ),
]

Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        rich_help_panel=_OUTPUT,
        help="Run folder. Default: ./<input name>-ovdet. With - the records go to standard output and nothing to disk.",
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", rich_help_panel=_OUTPUT, help="Write an existing run folder anew.")
]
Formats = Annotated[
    str,
    typer.Option("--format", metavar="F,G", rich_help_panel=_OUTPUT, help="Record formats: jsonl, csv, parquet, coco."),
]
RenderMode = Annotated[
    Literal["all", "hits", "none"],
    typer.Option(
        "--render",
        rich_help_panel=_OUTPUT,
        help="Annotated pictures and video: of every input, of those with detections, or none.",
    ),
]
QueryRender = Annotated[
    Literal["all", "hits", "none"],
    typer.Option(
        "--render",
        rich_help_panel=_OUTPUT,
        help="Annotated pictures and video, if the sources are still there: of every input, or of those with matches.",
    ),
]
NoMasks = Annotated[
    bool, typer.Option("--no-masks", rich_help_panel=_OUTPUT, help="Boxes only; the mask head does not run.")
]
NoLabels = Annotated[bool, typer.Option("--no-labels", rich_help_panel=_OUTPUT, help="Draw no names and scores.")]
MakeIndex = Annotated[
    bool,
    typer.Option(
        "--index",
        rich_help_panel=_INDEX,
        help="Keep the regions of every frame, so that `ovdet query` can ask other words without pictures or GPU.",
    ),
]
IndexRegions = Annotated[
    str,
    typer.Option(
        "--index-regions",
        metavar="N|all|auto",
        rich_help_panel=_INDEX,
        help="Regions kept of a frame: the N that can score highest, all, or what could reach half the threshold.",
    ),
]
IndexPrecision = Annotated[
    Literal["int8", "fp16"],
    typer.Option("--index-precision", rich_help_panel=_INDEX, help="How features are kept; fp16 takes twice the room."),
]
IndexMasks = Annotated[
    bool,
    typer.Option(
        "--index-masks", rich_help_panel=_INDEX, help="Keep every region's mask too: larger, and slower to make."
    ),
]
SaveCrops = Annotated[
    bool,
    typer.Option(
        "--save-crops",
        rich_help_panel=_LOOKING,
        help="Every detection as a picture in RUN/crops, listed in crops.csv; with --track each object's surest one.",
    ),
]
AllCrops = Annotated[
    bool, typer.Option("--all-crops", rich_help_panel=_LOOKING, help="The same with --track too: every detection.")
]
CropMargin = Annotated[
    float,
    typer.Option(
        "--crop-margin", min=0, max=2, rich_help_panel=_LOOKING, help="Kept around a crop, of its box's longer side."
    ),
]
Stills = Annotated[
    bool,
    typer.Option(
        "--stills",
        rich_help_panel=_LOOKING,
        help="Of videos an annotated picture each time that something new comes into view, in RUN/stills.",
    ),
]
Clips = Annotated[
    bool,
    typer.Option(
        "--clips",
        rich_help_panel=_LOOKING,
        help="The parts of videos in which something was found, copied from the keyframe before, in RUN/clips.",
    ),
]
ClipPadding = Annotated[
    float,
    typer.Option(
        "--clip-padding", metavar="SECONDS", min=0, rich_help_panel=_LOOKING, help="Kept before and after a finding."
    ),
]
BlurLabels = Annotated[
    str | None,
    typer.Option(
        "--blur",
        metavar="LABEL,LABEL",
        rich_help_panel=_LOOKING,
        help="Pixelate what has these labels in everything drawn, weak detections too, down to --record-threshold.",
    ),
]
BlurOnly = Annotated[
    bool, typer.Option("--blur-only", rich_help_panel=_LOOKING, help="With --blur: draw no boxes, masks and names.")
]
TrailSeconds = Annotated[
    float,
    typer.Option(
        "--trails",
        metavar="SECONDS",
        min=0,
        rich_help_panel=_LOOKING,
        help="With --track: how much of an object's way is drawn behind it in videos; 0: nothing.",
    ),
]
TimeRuler = Annotated[
    bool,
    typer.Option(
        "--ruler",
        rich_help_panel=_LOOKING,
        help="Along the bottom of videos: the time, and a bar with marks where something was found.",
    ),
]
JsonSummary = Annotated[
    bool, typer.Option("--json", rich_help_panel=_OUTPUT, help="Print run.json on standard output at the end.")
]

Every = Annotated[
    int,
    typer.Option(
        "--every",
        "--vid-stride",
        min=1,
        rich_help_panel=_VIDEO,
        help="Analyse every Nth frame; the others keep its boxes.",
    ),
]
Fps = Annotated[
    str | None,
    typer.Option("--fps", metavar="F", rich_help_panel=_VIDEO, help="Analyse F frames a second (30000/1001 too)."),
]
Start = Annotated[
    str | None,
    typer.Option("--start", metavar="TIME", rich_help_panel=_VIDEO, help="From here: seconds, M:SS or H:MM:SS."),
]
EndTime = Annotated[
    str | None, typer.Option("--end", metavar="TIME", rich_help_panel=_VIDEO, help="Up to here, likewise.")
]

Keyframes = Annotated[
    bool,
    typer.Option(
        "--keyframes",
        rich_help_panel=_VIDEO,
        help="Only the frames that the file stores whole count; without rendering nothing else is even decoded.",
    ),
]
Scenes = Annotated[
    bool,
    typer.Option(
        "--scenes", rich_help_panel=_VIDEO, help="Analyse one frame a shot: the sharpest a little after the cut."
    ),
]
SkipSimilar = Annotated[
    bool,
    typer.Option(
        "--skip-similar",
        rich_help_panel=_VIDEO,
        help='While nothing moves, frames take over the last detections (their records say "reused").',
    ),
]
SimilarLevel = Annotated[
    Literal["strict", "normal", "loose"] | None,
    typer.Option("--similar", rich_help_panel=_VIDEO, help="How little must move for --skip-similar. Default: normal."),
]
Refresh = Annotated[
    float | None,
    typer.Option(
        "--refresh",
        metavar="SECONDS",
        rich_help_panel=_VIDEO,
        help="With --skip-similar a frame is analysed at least this often. Default: 5.",
    ),
]
InputFps = Annotated[
    str,
    typer.Option(
        "--input-fps",
        metavar="F",
        rich_help_panel=_VIDEO,
        help="Frames a second of numbered pictures (frame_%05d.png).",
    ),
]

Track = Annotated[
    bool,
    typer.Option(
        "--track/--no-track",
        rich_help_panel=_VIDEO,
        help="Give each object of a video an id that it keeps, with one label and a steady score; adds tracks.csv.",
    ),
]
TrackLost = Annotated[
    float | None,
    typer.Option(
        "--track-lost",
        metavar="SECONDS",
        min=0,
        rich_help_panel=_VIDEO,
        help="How long an object may be out of sight and keep its id, with --track. Default: 1.",
    ),
]

VideoCodec = Annotated[
    Literal["h264", "hevc", "av1"],
    typer.Option("--codec", rich_help_panel=_ENCODING, help="Of annotated video; h264 plays everywhere."),
]
Crf = Annotated[
    int | None,
    typer.Option(
        "--crf",
        min=0,
        rich_help_panel=_ENCODING,
        help="Quality of annotated video, smaller is better and larger. Default: h264 23, hevc 25, av1 32.",
    ),
]
EncoderPreset = Annotated[
    str | None,
    typer.Option(
        "--encoder-preset",
        metavar="NAME",
        rich_help_panel=_ENCODING,
        help="Effort: ultrafast to veryslow for h264 and hevc, 0 to 13 for av1, p1 to p7 on an NVIDIA card. Default: "
        "veryfast, av1 8.",
    ),
]
Hwaccel = Annotated[
    Literal["auto", "none", "cuda"],
    typer.Option(
        "--hwaccel",
        rich_help_panel=_ENCODING,
        help="Decode and encode video on an NVIDIA card: where there is one, never, or with a word where it cannot.",
    ),
]

Workers = Annotated[
    int, typer.Option("--workers", "-j", min=1, rich_help_panel=_RUNNING, help="Threads that decode pictures.")
]
MaxDownload = Annotated[
    float,
    typer.Option(
        "--max-download",
        metavar="GB",
        min=0,
        rich_help_panel=_RUNNING,
        help="A file at an http(s) address is no larger. It is kept in TMPDIR while it is read.",
    ),
]
MaxFailures = Annotated[
    int | None,
    typer.Option("--max-failures", min=0, rich_help_panel=_RUNNING, help="Stop when more inputs than this failed."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", "-n", rich_help_panel=_RUNNING, help="Say what would be done, and do nothing.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", rich_help_panel=_RUNNING, help="Errors and warnings only.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", rich_help_panel=_RUNNING, help="Say more.")]
