"""What a recording costs in memory, and that it lets go of it."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap

import pytest
import torch
from torch import nn

from vizlib import capture

torch.manual_seed(0)


# --- 8. Memory -----------------------------------------------------------------------------


def in_a_fresh_process(code: str) -> str:
    """Run code where every large tensor is a mapping of its own, so that peaks are exact."""
    code = textwrap.dedent(PEAK) + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


PEAK = """
    import gc, resource, torch
    from pathlib import Path
    from torch import nn
    from vizlib import capture

    def peak_of(work):
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from here
        work()
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.split("VmHWM:")[1].split()[0])

    def plain(model, x):
        with torch.no_grad():
            model(x)
"""
linux_only = pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="peaks are read as Linux counts them"
)


@pytest.mark.slow
@linux_only
def test_vgg16_costs_no_more_than_its_activations_and_a_tenth():
    code = """
        from torchvision.models import vgg16
        with torch.device("meta"):
            features = vgg16(weights=None).features
        features = features.to_empty(device="cpu").eval()
        for parameter in features.parameters():
            nn.init.constant_(parameter, 1e-3)
        forward = lambda self, x: torch.flatten(self.f(x), 1)
        model = type("Own", (nn.Module,), {"forward": forward})()
        model.f = features
        x = torch.ones(1, 3, 160, 160)
        plain(model, x)
        before = peak_of(lambda: plain(model, x))
        kept = []
        after = peak_of(lambda: kept.append(capture.record(model, x)))
        own = sum(stage.output.nbytes for stage in kept[0].values())
        assert own > 50e6, own
        print((after - before) / own)
    """
    assert float(in_a_fresh_process(code)) <= 1.1


@pytest.mark.slow
@linux_only
def test_one_sample_of_a_large_batch_peaks_as_a_plain_forward_pass_does():
    code = """
        from torchvision.models import resnet18
        model = resnet18(weights=None).eval()
        x = torch.randn(64, 3, 48, 48)
        plain(model, x)
        before = peak_of(lambda: plain(model, x))
        print(peak_of(lambda: capture.record(model, x, samples=0)) / before)
        print(peak_of(lambda: capture.record(model, x)) / before)
    """
    one, everything = map(float, in_a_fresh_process(code).split())
    assert one <= 1.05
    assert everything > 1.1  # else this could not fail


@pytest.mark.slow
@linux_only
def test_a_thousand_recordings_leave_memory_flat():
    code = """
        from vizlib import models
        gc.disable()
        x = torch.randn(1, 1, 28, 28)
        own = type("Own", (nn.Module,), {"forward": lambda self, x: torch.relu(self.f(x))})()
        own.f = nn.Sequential(nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6), nn.ReLU(inplace=True)).train()
        for model in (models.build("lenet"), own):
            for count in range(1000):
                recording = capture.record(model, x)
                list(recording)
                if count == 200:
                    before, objects = peak_of(list), len(gc.get_objects())
            print(peak_of(list) - before, len(gc.get_objects()) - objects)
    """
    for line in in_a_fresh_process(code).splitlines():
        grown, objects = map(int, line.split())
        assert grown < 2e6
        assert objects < 100


def test_recorded_model_can_go():
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    weight = torch.nn.utils.parameters_to_vector(model.parameters()).data_ptr()
    assert weight
    import weakref

    gone = weakref.ref(model)
    recording = capture.record(model, torch.ones(1, 3))
    del model
    gc.collect()
    assert gone() is None
    assert list(recording) == ["0", "1"]
