"""Backbones of torchvision and timm with random weights, their feature maps and gradients.

    python crates/pass-model/tests/oracle/backbones.py FOLDER NETWORK...

writes of each NETWORK, a key of `NETWORKS`,

    NETWORK.safetensors   all of its weights, float32, with the keys of its program
    NETWORK.npz           picture0 and picture1, of which the second is not square; map0.stage1 to
                          map1.stage4; direction, and gradient.KEY of sum(direction * map0.stage4)
                          for some parameters KEY, the first layer's among them

Everything is computed in float64, in evaluation mode; the statistics of norms are random.
"""

import copy
import sys
from pathlib import Path

import numpy
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

SIZES = [(80, 80), (75, 107)]
PARAMETERS = 6  # whose gradients are written, besides the first layer's
NOISE = 1e-6  # in a picture of values about 1
TRIES = 50


def vision(name, **settings):
    return getattr(torchvision.models, name)(weights=None, **settings)


def of_timm(name, **settings):
    import timm
    return timm.create_model(name, pretrained=False, **settings)


def vit(name):
    """timm's: positions resized with antialiasing; DINOv2's pictures filled up with zeros, others cut."""
    net = of_timm(name, dynamic_img_size=True, dynamic_img_pad="patch14" in name)
    net.patch_embed.img_size = None  # any size
    return net


def dino():
    """The same with the positions of DINO, whose scale counts 0.1 places too many."""
    net = vit("vit_small_patch16_224")

    class Dino(type(net)):
        def _pos_embed(self, x):
            batch, height, width, channels = x.shape
            table = self.pos_embed[:, 1:].unflatten(1, (14, 14)).permute(0, 3, 1, 2)
            scale = ((height + 0.1) / 14, (width + 0.1) / 14)
            table = nn.functional.interpolate(table, scale_factor=scale, mode="bicubic")
            assert table.shape[2:] == (height, width)
            places = x.flatten(1, 2) + table.permute(0, 2, 3, 1).flatten(1, 2)
            first = (self.cls_token + self.pos_embed[:, :1]).expand(batch, -1, -1)
            return torch.cat([first, places], 1)

    net.__class__ = Dino
    return net


class RfConv(nn.Module):
    """The mean of one convolution with several dilations, weighted by the magnitudes of three numbers."""

    def __init__(self, conv, rates):
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self.sample_weights = nn.Parameter(torch.randn(3))
        padded = rates + [0] * (3 - len(rates))
        self.register_buffer("rates", torch.tensor([[r, r] for r in padded], dtype=torch.int32))
        self.register_buffer("num_rates", torch.tensor([len(rates)], dtype=torch.int32))
        self.register_buffer("counter", torch.zeros(1))
        self.register_buffer("current_search_step", torch.zeros(1))

    def forward(self, x):
        rates = self.rates[:self.num_rates.item(), 0].tolist()
        weights = self.sample_weights[:len(rates)].abs()
        weights = weights / weights.sum()
        branches = [nn.functional.conv2d(x, self.weight, self.bias, padding=3 * r, dilation=r,
                                         groups=x.shape[1]) for r in rates]
        return sum(weight * branch for weight, branch in zip(weights, branches))


def rf_convnext():
    net = of_timm("convnext_tiny")
    blocks = [block for stage in net.stages for block in stage.blocks]
    choices = [[1], [3], [1, 2], [2, 4, 6], [4, 7, 10]]
    for index, block in enumerate(blocks):
        block.conv_dw = RfConv(block.conv_dw, choices[index % len(choices)])
    return net


def dilated(*stages):
    return lambda: vision("resnet50", replace_stride_with_dilation=stages)


RESNET = ["layer1", "layer2", "layer3", "layer4"]
DENSE = ["features.denseblock1", "features.denseblock2", "features.denseblock3", "features.norm5"]
INCEPTION = ["Conv2d_4a_3x3", "Mixed_5d", "Mixed_6e", "Mixed_7c"]
EFFICIENT = ["features.2", "features.3", "features.5", "features.8"]
EFFICIENT_TIMM = ["blocks.1", "blocks.2", "blocks.4", "bn2"]
VIT = ["blocks.2", "blocks.5", "blocks.8", "norm"]
SWIN = ["features.1", "features.3", "features.5", "norm"]
CONVNEXT = ["features.1", "features.3", "features.5", "features.7"]
CONVNEXT_TIMM = ["stages.0", "stages.1", "stages.2", "stages.3"]

# How a network is built, and the modules whose outputs are the four stages.
NETWORKS = {
    "resnet18": (lambda: vision("resnet18"), RESNET),
    "resnet34": (lambda: vision("resnet34"), RESNET),
    "resnet50": (lambda: vision("resnet50"), RESNET),
    "resnet50_d16": (dilated(False, False, True), RESNET),
    "resnet50_d8": (dilated(False, True, True), RESNET),
    "resnet101": (lambda: vision("resnet101"), RESNET),
    "resnext50": (lambda: vision("resnext50_32x4d"), RESNET),
    "resnext101": (lambda: vision("resnext101_32x8d"), RESNET),
    "res2net50": (lambda: of_timm("res2net50_26w_4s"), RESNET),
    "res2net101": (lambda: of_timm("res2net101_26w_4s"), RESNET),
    "res2net50d": (lambda: of_timm("res2net50d"), RESNET),
    "efficientnet_b3": (lambda: vision("efficientnet_b3"), EFFICIENT),
    "tf_efficientnet_b3": (lambda: of_timm("tf_efficientnet_b3"), EFFICIENT_TIMM),
    "efficientnet_lite0": (lambda: of_timm("tf_efficientnet_lite0"), EFFICIENT_TIMM),
    "densenet161": (lambda: vision("densenet161"), DENSE),
    "inception_v3": (lambda: vision("inception_v3", transform_input=True, init_weights=False), INCEPTION),
    "vit_s16": (lambda: vit("vit_small_patch16_224"), VIT),
    "vit_s16_dino": (dino, VIT),
    "vit_b16": (lambda: vit("vit_base_patch16_224"), VIT),
    "dinov2_s14": (lambda: vit("vit_small_patch14_dinov2"), VIT),
    "dinov2_s14_registers": (lambda: vit("vit_small_patch14_reg4_dinov2"), VIT),
    "dinov2_b14": (lambda: vit("vit_base_patch14_dinov2"), VIT),
    "swin_t": (lambda: vision("swin_t"), SWIN),
    "swin_s": (lambda: vision("swin_s"), SWIN),
    "swin_b": (lambda: vision("swin_b"), SWIN),
    "convnext_t": (lambda: vision("convnext_tiny"), CONVNEXT),
    "rf_convnext_t": (rf_convnext, CONVNEXT_TIMM),
}

# What is done to a stage's output, by the name of its module.
AFTER = {"features.norm5": torch.relu}


def as_map(net, output, picture):
    """Tokens, and maps with their channels at the end, with their channels in front."""
    if hasattr(net, "num_prefix_tokens"):
        patch = net.patch_embed.patch_size[0]
        height, width = ((side + patch - 1) // patch if net.patch_embed.dynamic_img_pad
                         else side // patch for side in picture.shape[2:])
        output = output[:, net.num_prefix_tokens:].unflatten(1, (height, width))
    is_last = isinstance(net, torchvision.models.SwinTransformer) or hasattr(net, "num_prefix_tokens")
    return output.permute(0, 3, 1, 2) if is_last else output


def randomise_transformer(net):
    for module in net.modules():
        if isinstance(module, nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.uniform_(module.bias, -0.2, 0.2)
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features ** -0.5)
            if module.bias is not None:
                nn.init.uniform_(module.bias, -0.2, 0.2)
    for name, value in net.named_parameters():
        last = name.rsplit(".", 1)[-1]
        if last in ("pos_embed", "cls_token", "reg_token", "relative_position_bias_table"):
            nn.init.normal_(value, std=0.5)
        if last in ("gamma", "layer_scale"):
            nn.init.uniform_(value, 0.2, 0.8)


def randomise(net):
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.uniform_(module.bias, -0.2, 0.2)
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.running_var, 0.7, 1.5)
    if any(isinstance(module, nn.LayerNorm) for module in net.modules()):
        randomise_transformer(net)


def stages(net, modules, picture):
    """The outputs of the modules in one forward pass."""
    found = {}

    def keep(name):
        return lambda module, inputs, output: found.update({name: output.clone()})

    hooks = [net.get_submodule(name).register_forward_hook(keep(name)) for name in modules]
    net(picture)
    for hook in hooks:
        hook.remove()
    outputs = [AFTER.get(name, lambda x: x)(found[name]) for name in modules]
    return [as_map(net, output, picture) for output in outputs]


def some_parameters(net):
    """The first convolution's weight and others spread over the network, the auxiliary head's not."""
    named = [(key, value) for key, value in net.named_parameters()
             if value.dim() == 4 and not key.startswith("AuxLogits.")]
    return dict(named[::max(1, len(named) // PARAMETERS)])


def gradients(net, modules, picture, direction):
    """Of sum(direction * stage 4), by key."""
    parameters = some_parameters(net)
    last = stages(net, modules, picture)[-1]
    values = torch.autograd.grad((last * direction).sum(), list(parameters.values()))
    return dict(zip(parameters, values))


def agree(found, exact):
    return all((found[key] - exact[key]).abs().max() < 1e-4 * exact[key].abs().max() for key in exact)


def smooth_picture(net, modules, size):
    """A picture, a direction and the gradients, far from kinks: neither rounding to float32 nor noise of
    that size moves a ReLU or a maximum to its other side, which would be another gradient."""
    single = copy.deepcopy(net).float()
    for _ in range(TRIES):
        picture = torch.randn(1, 3, *size, dtype=torch.float64)
        direction = torch.randn_like(stages(net, modules, picture)[-1])
        exact = gradients(net, modules, picture, direction)
        if not agree(gradients(single, modules, picture.float(), direction.float()), exact):
            continue
        noisy = (picture + NOISE * torch.randn_like(picture) for _ in range(3))
        if all(agree(gradients(net, modules, other, direction), exact) for other in noisy):
            return picture, direction, exact
    raise SystemExit(f"no picture of {TRIES} is far from all kinks")


def arrays(net, modules):
    first, direction, exact = smooth_picture(net, modules, SIZES[0])
    result = {"direction": direction}
    result.update({f"gradient.{key}": value for key, value in exact.items()})
    for index, picture in enumerate([first, torch.randn(1, 3, *SIZES[1], dtype=torch.float64)]):
        result[f"picture{index}"] = picture
        maps = stages(net, modules, picture)
        result.update({f"map{index}.stage{stage + 1}": x for stage, x in enumerate(maps)})
    return {key: value.detach().numpy() for key, value in result.items()}


def main():
    folder = Path(sys.argv[1])
    for seed, name in enumerate(sys.argv[2:]):
        torch.manual_seed(seed)
        build, modules = NETWORKS[name]
        net = build()
        randomise(net)
        net.eval()
        save_file({key: value.contiguous() for key, value in net.state_dict().items()},
                  folder / f"{name}.safetensors")
        numpy.savez(folder / f"{name}.npz", **arrays(net.double(), modules))


if __name__ == "__main__":
    main()
