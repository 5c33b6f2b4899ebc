import torch
import torch.nn.functional as F

from ovdet_cli.models.detic.pyramid import FeaturePyramid


def test_levels():
    """Quirk 3: P6 comes from the output P5 without activation, P7 from ReLU of P6."""
    torch.manual_seed(0)
    neck = FeaturePyramid((4, 6, 8), 5)
    c3, c4, c5 = torch.randn(2, 4, 16, 24), torch.randn(2, 6, 8, 12), torch.randn(2, 8, 4, 6)
    with torch.no_grad():
        p3, p4, p5, p6, p7 = neck([c3, c4, c5])
        lateral = [layer(x) for layer, x in zip(neck.laterals, (c3, c4, c5), strict=True)]
        middle = lateral[1] + lateral[2].repeat_interleave(2, 2).repeat_interleave(2, 3)
        torch.testing.assert_close(p5, neck.outputs[2](lateral[2]))
        torch.testing.assert_close(p4, neck.outputs[1](middle))
        torch.testing.assert_close(
            p3, neck.outputs[0](lateral[0] + middle.repeat_interleave(2, 2).repeat_interleave(2, 3))
        )
        torch.testing.assert_close(p6, F.conv2d(p5, neck.p6.weight, neck.p6.bias, stride=2, padding=1))
        torch.testing.assert_close(p7, F.conv2d(p6.clamp(min=0), neck.p7.weight, neck.p7.bias, stride=2, padding=1))
    assert (p6 < 0).any()
    assert [tuple(p.shape[2:]) for p in (p3, p4, p5, p6, p7)] == [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]
