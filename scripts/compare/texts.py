"""What the comparison of two runs says, in English and Chinese."""

from __future__ import annotations

from typing import Dict, Tuple

from clip2om.scripts.pages.texts import Text, add, say

__all__ = ["Text", "say"]

TEXTS: Dict[str, Tuple[str, str]] = {
    "triage": ("Where the runs part", "两次运行的差异始于何处"),
    "changed": ("Videos that changed sides", "判断结果改变的视频"),
    "score_drift": ("Drift of the scores", "得分偏差"),
    "sides": ("The two runs", "两次运行"),
    "run_a": ("run A", "运行 A"),
    "run_b": ("run B", "运行 B"),
    "step": ("step", "步骤"),
    "verdict": ("verdict", "结论"),
    "found": ("what was found", "检查结果"),
    "tensors": ("input tensors", "输入张量"),
    "logits": ("logits", "logits"),
    "same": ("the same", "相同"),
    "within": ("within the customary limits", "在惯用限值内"),
    "differs": ("differs", "不同"),
    "unknown": ("not known", "未知"),
    "first_differs": ("The first that differs: {step}.", "最先出现差异的是：{step}。"),
    "first_within": (
        "The first that differs: {step}, within the customary limits.",
        "最先出现差异的是：{step}，但在惯用限值内。",
    ),
    "none_differs": ("Nothing that is known differs.", "已知各项均相同。"),
    "print_unknown": (
        "one of the runs has no fingerprint of its input (another runner made the scores)",
        "其中一次运行没有输入指纹（得分由其他程序生成）",
    ),
    "print_differs": ("the fingerprints of their preparation differ", "预处理指纹不同"),
    "same_manifest": (
        "the same manifest, so the same fingerprint and the same bytes",
        "清单相同，因此指纹和字节都相同",
    ),
    "same_bytes": ("the same fingerprint, and the same bytes of {clips} clips", "指纹相同，{clips} 个片段的字节相同"),
    "bytes_differ": (
        "the same fingerprint, but other bytes in {count} of {clips} clips, first of video {video}",
        "指纹相同，但 {clips} 个片段中有 {count} 个的字节不同，首个属于视频 {video}",
    ),
    "batches_gone": (
        "the fingerprints agree; the bytes cannot be compared, because not all batches of both runs are on disk",
        "指纹一致；字节无法比较，因为两次运行的批次不全在磁盘上",
    ),
    "batches_altered": (
        "the fingerprints agree; the bytes cannot be compared, because batches were altered since they were made",
        "指纹一致；字节无法比较，因为批次在生成之后被改动过",
    ),
    "stored_differently": (
        "the fingerprints agree; the bytes cannot be compared, because A stores {a} and B stores {b}",
        "指纹一致；字节无法比较，因为 A 存为 {a}，B 存为 {b}",
    ),
    "no_common_clip": ("the runs have no clip in common", "两次运行没有共同的片段"),
    "other_rows": (
        "one run has a row for each clip, the other one for each video, whose clips its graph has averaged",
        "一次运行每个片段一行，另一次每个视频一行（其计算图已对片段取平均）",
    ),
    "same_logits": ("every number of {clips} clips is the same", "{clips} 个片段的每个数值都相同"),
    "logits_differ": (
        "cosine {cosine} (limit 0.99), relative Euclidean distance {relative} (0.05), KL {kl} (0.005), {clips} clips",
        "余弦 {cosine}（限值 0.99），相对欧氏距离 {relative}（0.05），KL {kl}（0.005），{clips} 个片段",
    ),
    "same_rules": ("the same rules and the same true classes", "规则和真实类别都相同"),
    "rules_differ": (
        "{settings} settings differ, and the true classes of {count} videos",
        "{settings} 项设置不同，{count} 个视频的真实类别不同",
    ),
    "not_compared": (
        "The inputs were prepared differently, so the accuracies are not compared; --different-inputs does it all the "
        "same.",
        "两次运行的输入预处理不同，因此不比较准确率；加上 --different-inputs 可强制比较。",
    ),
    "compared_anyway": (
        "The inputs were prepared differently; the accuracies are compared because --different-inputs asked for it.",
        "两次运行的输入预处理不同；因指定了 --different-inputs，仍比较准确率。",
    ),
    "over_common": (
        "Over the {count} videos that both runs count; {only_a} are counted by A alone and {only_b} by B alone.",
        "基于两次运行都计入的 {count} 个视频；另有 {only_a} 个仅 A 计入，{only_b} 个仅 B 计入。",
    ),
    "without_scores": (
        "{a} of them have no scores in A and {b} have none in B: there they count as wrong, and no strip shows them.",
        "其中 {a} 个在 A 中没有得分，{b} 个在 B 中没有得分：在该次运行中计为错误，也不显示帧。",
    ),
    "difference": ("B minus A, points", "B 减 A，百分点"),
    "lost": ("right in A only", "仅 A 正确"),
    "gained": ("right in B only", "仅 B 正确"),
    "p_value": ("McNemar's exact test, p", "McNemar 精确检验，p"),
    "p_about": (
        "p is the probability that chance alone moves as many videos so unevenly, if both runs were equally good.",
        "p：假设两次运行同样好，仅因偶然就出现如此多且如此偏向一侧的改变的概率。",
    ),
    "changed_shown": (
        "{shown} of {total}, those whose scores moved most first",
        "共 {total} 个，显示得分变化最大的 {shown} 个",
    ),
    "lost_videos": ("Right in A, wrong in B", "A 正确，B 错误"),
    "gained_videos": ("Wrong in A, right in B", "A 错误，B 正确"),
    "clips_compared": ("clips compared", "比较的片段"),
    "same_class": ("of them with the same best class", "其中首选类别相同"),
    "max_abs": ("largest difference of an output", "输出的最大差值"),
    "mean_abs": ("mean difference of an output", "输出的平均差值"),
    "max_score": ("largest difference of a video's score", "视频得分的最大差值"),
    "euclid": ("relative Euclidean distance", "相对欧氏距离"),
    "kl": ("KL divergence, mean over clips", "KL 散度，各片段平均"),
    "max_kl": ("KL divergence, largest", "KL 散度，最大值"),
    "limit": ("limit", "限值"),
    "moved": ("largest difference of a clip's outputs", "片段输出的最大差值"),
    "ratio": ("B / A", "B / A"),
    "compute_rate": ("throughput, compute", "吞吐量，计算"),
    "wall_rate": ("throughput, wall", "吞吐量，全程"),
    "device_alone": ("throughput, execution on the device alone", "吞吐量，仅设备执行"),
    "latency_of": ("latency, {name} ({unit})", "时延，{name}（{unit}）"),
    "rate_of": ("{name} (clips/s)", "{name}（片段/秒）"),
    "of_mean": ("mean", "平均"),
    "of_max": ("max", "最大"),
    "results": ("results", "结果"),
    "of_run": ("run {run}: {note}", "运行 {run}：{note}"),
    "other_hosts": (
        "The runs were made on different hosts: their speeds compare the hosts too.",
        "两次运行在不同主机上进行：速度差异也包含主机差异。",
    ),
}
add(TEXTS)
