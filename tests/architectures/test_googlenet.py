"""GoogLeNet's exceptions: heads for training alone, and real 5 x 5 branches."""

import torch
from torch import Tensor, nn

from convoy.architectures import build, describe
from convoy.architectures.googlenet import INCEPTIONS, GoogLeNet, Outputs


def parameters(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def googlenet(image_size: int, device: str = "meta", num_classes: int = 1000) -> GoogLeNet:
    torch.manual_seed(0)
    with torch.device(device):
        network = build("googlenet", num_classes=num_classes, in_channels=3, image_size=image_size)
    assert isinstance(network, GoogLeNet)
    return network


def test_parameters_are_the_papers_kernels_with_batch_norm_and_two_heads() -> None:
    network = googlenet(224)
    # 1 x 1 convolution and its batch norm, 1024 units on 4 x 4 maps of 128, logits
    head = 2 * 128 + (128 * 16 + 1) * 1024 + (1024 + 1) * 1000
    assert parameters(network.aux1) == 512 * 128 + head
    assert parameters(network.aux2) == 528 * 128 + head
    both = parameters(network.aux1) + parameters(network.aux2)
    assert both == 6_379_984
    assert parameters(network) - both == 7_005_832


def test_each_row_of_the_table_feeds_the_next() -> None:
    channels = [row.one + row.three + row.five + row.pool for row in INCEPTIONS.values()]
    assert channels == [256, 480, 512, 512, 512, 528, 832, 832, 1024]
    network = googlenet(224)
    heads = [network.get_submodule(f"inception{row}.branch1.conv") for row in INCEPTIONS]
    taken = [head.in_channels for head in heads if isinstance(head, nn.Conv2d)]
    assert taken == [192, *channels[:-1]]


def test_every_inception_has_a_real_5x5_branch() -> None:
    kernels = [m.kernel_size for m in googlenet(224).modules() if isinstance(m, nn.Conv2d)]
    assert kernels.count((5, 5)) == 9


def test_training_gives_three_logits_and_evaluation_one() -> None:
    for image_size in (224, 32):
        network = googlenet(image_size)
        images = torch.empty(2, 3, image_size, image_size, device="meta")
        outputs = network.train()(images)
        assert isinstance(outputs, Outputs)
        assert [logits.shape for logits in outputs] == [(2, 1000)] * 3
        logits = network.eval()(images)
        assert isinstance(logits, Tensor)
        assert logits.shape == (2, 1000)


def test_the_published_variant_has_3x3_in_its_place_and_its_own_batch_norm() -> None:
    with torch.device("meta"):
        network = build("googlenet_3x3", num_classes=10, in_channels=3, image_size=224)
    modules = list(network.modules())
    kernels = [m.kernel_size for m in modules if isinstance(m, nn.Conv2d)]
    assert kernels.count((5, 5)) == 0 and kernels.count((3, 3)) == 1 + 9 + 9
    assert {m.eps for m in modules if isinstance(m, nn.BatchNorm2d)} == {0.001}


def test_a_network_without_auxiliary_heads_gives_its_logits_in_training_too() -> None:
    with torch.device("meta"):
        network = build(
            "googlenet",
            num_classes=10,
            in_channels=3,
            image_size=32,
            options={"auxiliary": False},
        )
        logits = network.train()(torch.empty(2, 3, 32, 32))
    assert isinstance(logits, Tensor)
    assert not [key for key in network.state_dict() if key.startswith("aux")]


def test_auxiliary_heads_see_a_4x4_map_at_224_pixels() -> None:
    pool = googlenet(224).aux1.pool
    assert isinstance(pool, nn.AvgPool2d)
    assert pool(torch.empty(1, 512, 14, 14, device="meta")).shape == (1, 512, 4, 4)
    assert googlenet(224).aux1.dropout.p == 0.7


def test_auxiliary_losses_count_three_tenths_in_training_and_nothing_in_evaluation() -> None:
    def mean(logits: Tensor, labels: Tensor) -> Tensor:
        return logits.mean()

    loss = describe("googlenet").loss
    labels = torch.zeros(2, dtype=torch.long)
    one, two, four = (torch.full((2, 10), value) for value in (1.0, 2.0, 4.0))
    torch.testing.assert_close(loss(Outputs(one, two, four), labels, mean), torch.tensor(2.8))
    torch.testing.assert_close(loss(one, labels, mean), torch.tensor(1.0))


def test_auxiliary_heads_do_not_change_an_evaluation() -> None:
    network = googlenet(32, device="cpu", num_classes=10).eval()
    images = torch.randn(2, 3, 32, 32)
    before: Tensor = network(images)
    for head in (network.aux1, network.aux2):
        for weight in head.parameters():
            nn.init.zeros_(weight)
    assert torch.equal(network(images), before)
