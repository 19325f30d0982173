"""Everything a page says, in English and Chinese; a text from a dataset never passes through here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Tuple

from markupsafe import Markup, escape

TEXTS: Dict[str, Tuple[str, str]] = {
    # page
    "report": ("Report", "报告"),
    "comparison": ("Comparison", "对比"),
    "skip": ("Skip to the contents", "跳到正文"),
    "contents": ("Contents", "目录"),
    "language": ("Language", "语言"),
    "made_by": (
        "Made by clip2om. This file holds everything it shows and loads nothing.",
        "由 clip2om 生成。本文件自含全部内容，不加载任何外部资源。",
    ),
    "no_script": (
        "Scripts are off: the tables are complete, the charts are left out.",
        "脚本已关闭：表格完整，图表不显示。",
    ),
    "left_out": ("What is left out, and why", "未包含的内容及原因"),
    "none": ("none", "无"),
    "not_recorded": ("not recorded", "未记录"),
    "zoom": ("Wheel or buttons zoom, dragging moves.", "滚轮或按钮缩放，拖动平移。"),
    "zoom_in": ("Zoom in", "放大"),
    "zoom_out": ("Zoom out", "缩小"),
    "zoom_reset": ("Show all", "显示全部"),
    "sort_hint": ("A click on a heading sorts the table.", "点击表头可排序。"),
    # notes
    "no_manifest": (
        "The batches' manifest is not there: no film strips, no figures of the preparation.",
        "找不到批次清单：没有胶片条，也没有预处理数据。",
    ),
    "other_manifest": (
        "The batches on disk are not those that were scored (another digest): they are not shown.",
        "磁盘上的批次不是被评分的批次（摘要不同）：不显示。",
    ),
    "no_summary": (
        "No summary.json of the run: no latency, no throughput.",
        "没有本次运行的 summary.json：没有时延和吞吐量。",
    ),
    "other_summary": (
        "The scores on disk are of another run (another digest): their latency is not shown.",
        "磁盘上的得分属于另一次运行（摘要不同）：不显示其时延。",
    ),
    "no_compiled": ("No record of the compiled model.", "没有编译后模型的记录。"),
    "other_compiled": (
        "The compiled model on disk is not the one that ran (another digest): it is not shown.",
        "磁盘上的编译后模型不是运行的那个（摘要不同）：不显示。",
    ),
    "no_graph": ("No record of the graph.", "没有计算图的记录。"),
    "other_graph": (
        "The graph on disk is not the one that was compiled (another digest): it is not shown.",
        "磁盘上的计算图不是被编译的那个（摘要不同）：不显示。",
    ),
    "no_frames": (
        "Film strips are left out: the videos of the dataset are not in {path}.",
        "没有胶片条：{path} 中没有数据集的视频。",
    ),
    "no_card": (
        "Film strips are left out: there is no model card {card}, which names the folder of the dataset.",
        "没有胶片条：找不到模型卡 {card}，无从得知数据集目录。",
    ),
    "some_frames": (
        "{missing} of {total} film strips are left out: their videos are not on disk or cannot be decoded.",
        "{total} 个胶片条中缺少 {missing} 个：视频不在磁盘上或无法解码。",
    ),
    "strips_budget": (
        "{missing} of {total} film strips are left out: the page keeps below its size.",
        "{total} 个胶片条中省略 {missing} 个：以限制页面大小。",
    ),
    "strips_off": ("Film strips were switched off.", "胶片条已关闭。"),
    "not_finite": (
        "{count} videos have scores that are no numbers (NaN): they are in no calibration and no film strip.",
        "{count} 个视频的得分不是数值（NaN）：不计入校准，也没有胶片条。",
    ),
    "unlabelled": (
        "No scored video has a label: there is no accuracy to show.",
        "已评分的视频都没有标签：没有准确率可显示。",
    ),
    "not_probabilities": (
        "The scores do not add up to one: no reliability diagram.",
        "得分之和不为一：没有可靠性图。",
    ),
    "many_classes": (
        "The table shows {shown} of {total} classes: the worst, with the most videos first among equals.",
        "表格显示 {total} 个类别中的 {shown} 个：最差的类别，相同时视频多者优先。",
    ),
    "many_cells": (
        "The matrix shows {shown} of {total} cells: those with the most videos.",
        "矩阵显示 {total} 个单元中的 {shown} 个：视频最多者。",
    ),
    "no_times": (
        "When each batch began was not recorded: no time line of the batches.",
        "未记录每个批次的开始时间：没有批次时间线。",
    ),
    # sections
    "summary": ("At a glance", "概览"),
    "accuracy": ("Accuracy", "准确率"),
    "classes": ("Accuracy by class", "各类别准确率"),
    "confusion": ("Confusion matrix", "混淆矩阵"),
    "mistakes": ("The most confident mistakes", "最自信的错误"),
    "doubtful": ("The least certain successes", "最不确定的正确"),
    "coverage": ("Clips and coverage", "片段与覆盖"),
    "speed": ("Latency and throughput", "时延与吞吐量"),
    "reliability": ("Reliability of the scores", "得分的可靠性"),
    "run": ("What was run", "运行内容"),
    # figures
    # Of the rows of a chart that are named in both languages, the field that has the name.
    "name_field": ("en", "zh"),
    "metric": ("metric", "指标"),
    "hits_total": ("right / counted", "正确 / 总数"),
    "value": ("accuracy", "准确率"),
    "interval": ("95 % interval", "95% 区间"),
    "published": ("published", "公开值"),
    "videos": ("videos", "视频"),
    "clips": ("clips", "片段"),
    "frames": ("frames", "帧"),
    "of_videos": ("{name}, videos", "{name}，视频"),
    "of_clips": ("{name}, clips", "{name}，片段"),
    "mean_class": ("mean class, top-1", "类平均，top-1"),
    "n_classes": ("{count} classes", "{count} 个类别"),
    "interval_about": (
        "Intervals are Wilson's for one proportion; clips of one video resemble each other, so those of clips are "
        "narrower than they should be.",
        "区间为单比例的 Wilson 区间；同一视频的片段彼此相似，因此片段的区间偏窄。",
    ),
    "inside": ("inside the interval", "在区间内"),
    "outside": ("outside the interval", "在区间外"),
    "published_about": (
        "Published figures were measured by others, on the hardware and data named, and not repeated by this project.",
        "公开值由他人在所述硬件和数据上测得；本项目未复现。",
    ),
    "figure": ("figure", "数值"),
    "unit": ("unit", "单位"),
    "data": ("data", "数据"),
    "hardware": ("hardware", "硬件"),
    "source": ("source", "来源"),
    "class": ("class", "类别"),
    "predicted_times": ("predicted", "被预测"),
    "confused_with": ("most often taken for", "最常被误认为"),
    "times": ("times", "次数"),
    "true": ("true class", "真实类别"),
    "predicted": ("predicted class", "预测类别"),
    "share": ("share of the true class", "占真实类别的比例"),
    "confusion_about": (
        "Scored videos only. The darker a cell, the larger its share of the true class.",
        "仅含已评分的视频。单元越深，占真实类别的比例越大。",
    ),
    "truth_is": ("true: {label}", "真实：{label}"),
    "prediction_is": ("predicted: {label}", "预测：{label}"),
    "clip_is": (
        "clip {clip} of {clips}, frames {first} to {last}",
        "第 {clip}/{clips} 个片段，第 {first} 至 {last} 帧",
    ),
    "clips_are": ("{clips} clips together, frames {first} to {last}", "共 {clips} 个片段，第 {first} 至 {last} 帧"),
    "no_mistakes": ("There are none.", "没有。"),
    "mistakes_about": (
        "Wrong videos with the highest score for the wrong class; the clip shown is the one that speaks most for it.",
        "错误类别得分最高的错误视频；所示片段是最支持该类别的片段。",
    ),
    "doubtful_about": (
        "Right videos with the smallest lead over the second class.",
        "与第二类别差距最小的正确视频。",
    ),
    "expected": ("expected", "应有"),
    "scored": ("scored", "已评分"),
    "skipped": ("skipped", "跳过"),
    "missing": ("without scores", "无得分"),
    "outside_subset": ("outside the subset", "子集之外"),
    "without_label": ("without a label", "无标签"),
    "clips_used": ("clips used", "使用的片段"),
    "clips_left": ("clips left out", "省略的片段"),
    "reason": ("reason", "原因"),
    "video": ("video", "视频"),
    "absent_wrong": ("Videos without scores count as wrong.", "没有得分的视频计为错误。"),
    "absent_ignored": ("Videos without scores are left out of the accuracy.", "没有得分的视频不计入准确率。"),
    "and_more": ("and {count} more, listed in accuracy.json", "另有 {count} 个，见 accuracy.json"),
    "clips_per_video": ("clips per video", "每个视频的片段数"),
    "latency": ("latency", "时延"),
    "latency_axis": ("milliseconds per batch", "每批次毫秒"),
    "batches": ("batches", "批次"),
    "batch": ("batch", "批次"),
    "percentile": ("percentile", "百分位"),
    "mean": ("mean", "平均"),
    "max": ("largest", "最大"),
    "started": ("begun after", "开始于"),
    "seconds": ("seconds after the first read", "首次读取后的秒数"),
    "seconds_unit": ("seconds", "秒"),
    "lane": ("at the same time", "同时进行"),
    "timeline": ("Time line of the batches", "批次时间线"),
    "timeline_binned": (
        "Each bar stands for the batches of one part of the run; there are too many to show singly.",
        "每个条形代表运行中一段时间内的批次；数量过多，无法逐一显示。",
    ),
    "rate": ("clips per second", "每秒片段数"),
    "stage": ("stage", "阶段"),
    "interval_of": ("interval", "区间"),
    "clips_s": ("clips/s", "片段/秒"),
    "videos_s": ("videos/s", "视频/秒"),
    "frames_s": ("frames/s", "帧/秒"),
    "compute": ("infer: at least one batch on the device", "推理：设备上至少有一个批次"),
    "read_to_write": ("first read to last write", "首次读取至末次写入"),
    "wall": ("infer: {covers}", "推理：{covers}"),
    "device_compute": ("infer: execution on the device alone ({source})", "推理：仅设备执行（{source}）"),
    "by_files": (
        "{stage}: from the first file to the last, by their times",
        "{stage}：从首个文件到末个文件，按文件时间",
    ),
    "stage_times": ("When each stage wrote its files", "各阶段写文件的时间"),
    "from": ("first file", "首个文件"),
    "to": ("last file", "末个文件"),
    "files": ("files", "文件"),
    "warmup": (
        "{batches} batches of warm-up ({seconds} s) are in none of the figures; {resumed} batches were kept from an "
        "earlier run.",
        "预热 {batches} 个批次（{seconds} 秒）不计入任何数值；{resumed} 个批次沿用先前的运行。",
    ),
    "padded": ("{slots} of the slots were padding.", "其中 {slots} 个槽位为填充。"),
    "confidence": ("score of the predicted class", "预测类别的得分"),
    "right_share": ("share that is right", "正确比例"),
    "mean_confidence": ("mean score", "平均得分"),
    "low": ("lower limit", "下限"),
    "high": ("upper limit", "上限"),
    "reliability_about": (
        "Of videos scored 0.8, eight in ten should be right: the dashed line. Expected calibration error: {error}.",
        "得分 0.8 的视频应有八成正确：即虚线。预期校准误差：{error}。",
    ),
    "item": ("item", "项目"),
    "setting": ("setting", "设置"),
    "digests": ("Digests (SHA-256)", "摘要（SHA-256）"),
    "versions": ("Versions", "版本"),
    "commands": ("Commands to reproduce", "复现命令"),
    "commands_about": (
        "As recorded, or as they follow from the records. Paths are relative to the project.",
        "来自记录，或由记录推出。路径相对于项目目录。",
    ),
    "model": ("model", "模型"),
    "engine": ("engine", "引擎"),
    "device": ("device", "设备"),
    "precision": ("precision", "精度"),
    "dataset": ("dataset", "数据集"),
    "input": ("input", "输入"),
    "rules": ("rules of scoring", "评分规则"),
    "host": ("host", "主机"),
    "transform": ("preparation of the input", "输入预处理"),
    "parity": ("graph against the framework", "计算图与框架对比"),
    "checkpoint": ("checkpoint", "权重"),
    "graph": ("graph", "计算图"),
    "compiled": ("compiled model", "编译后模型"),
    "manifest": ("manifest of the batches", "批次清单"),
    "annotation": ("annotation", "标注"),
    "fingerprint": ("fingerprint of the input", "输入指纹"),
    "score_files": ("score files", "得分文件"),
    "layout": ("layout of the batches", "批次布局"),
    # drift
    "drift": ("Drift by layer", "逐层偏差"),
    "layers": ("Layers", "各层"),
    "depth": ("depth", "深度"),
    "layer": ("layer", "层"),
    "operator": ("operator", "算子"),
    "cosine": ("cosine", "余弦"),
    "relative": ("relative error", "相对误差"),
    "largest": ("largest difference", "最大差值"),
    "added": ("added", "新增"),
    "drift_lead": ("{against}, {clips} clips, {layers} layers", "{against}，{clips} 个片段，{layers} 层"),
    "drift_first": (
        "First layer beyond a limit (cosine {cosine}, relative error {relative}): {layer}",
        "首个超出限值的层（余弦 {cosine}，相对误差 {relative}）：{layer}",
    ),
    "drift_within": (
        "Every layer is within the limits (cosine {cosine}, relative error {relative}).",
        "所有层均在限值之内（余弦 {cosine}，相对误差 {relative}）。",
    ),
    "drift_about": (
        "An error travels to every later layer. Added: relative error over that of the layers it reads (1e-5 or more). "
        "The dashed line is the limit.",
        "误差会传到其后的每一层。新增：相对误差与其输入层相对误差之比（至少按 1e-5 计）。虚线为限值。",
    ),
    "unmatched": ("{count} layers have no counterpart on the other side.", "{count} 层在另一侧没有对应。"),
}


@dataclass(frozen=True)
class Text:
    """One text in both languages; in a template it gives both, and the page shows one."""

    en: str
    zh: str

    def __html__(self) -> Markup:
        """Return both languages, escaped, each in an element of its own."""
        if self.en == self.zh:
            return escape(self.en)
        return Markup('<span lang="en">{}</span><span lang="zh-CN">{}</span>').format(self.en, self.zh)

    def __str__(self) -> str:
        return self.en


def say(key: str, **values: object) -> Text:
    """Return the text ``key`` with its values filled in; a value that is a :class:`Text` itself keeps its language."""
    english, chinese = TEXTS[key]
    return Text(
        english.format(**{name: getattr(value, "en", value) for name, value in values.items()}),
        chinese.format(**{name: getattr(value, "zh", value) for name, value in values.items()}),
    )
