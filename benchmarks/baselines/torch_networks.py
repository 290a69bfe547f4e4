"""StyleGAN3's generator and discriminator in torch, for timing: same shapes and operators, weights at random."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from benchmarks.baselines import with_torch
from sg3x.networks.discriminator import DiscriminatorConfig
from sg3x.networks.schedule import GeneratorConfig, layer_schedule
from sg3x.networks.synthesis import layer_filters


class Generator(torch.nn.Module):
    """w[N, w_dim] -> pictures [N, 3, R, R]; no mapping network, the Fourier features stand still: neither costs anything."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        schedule = layer_schedule(config)
        self.specs = schedule.layers
        size = schedule.input.size
        self.features = torch.nn.Parameter(torch.randn(1, schedule.input.channels, size, size))
        self.weights = torch.nn.ParameterList(
            torch.randn(s.out_channels, s.in_channels, s.conv_kernel, s.conv_kernel) for s in self.specs
        )
        self.biases = torch.nn.ParameterList(torch.zeros(s.out_channels) for s in self.specs)
        self.affines = torch.nn.ParameterList(torch.randn(s.in_channels, config.w_dim) for s in self.specs)
        self.filters = [tuple(None if f is None else torch.tensor(f) for f in layer_filters(s)) for s in self.specs]

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        x = self.features.expand(w.shape[0], -1, -1, -1)
        for i, spec in enumerate(self.specs):
            styles = F.linear(w, self.affines[i]) / w.shape[1] ** 0.5 + 1
            x = with_torch.scaled_conv(x, self.weights[i], styles, spec.conv_kernel - 1)
            up, down = self.filters[i]
            pads = spec.padding[:2]
            x = with_torch.filtered_lrelu(x, up, down, self.biases[i], spec.up_factor, spec.down_factor, pads)
        return x


def convolution_inputs(g: Generator, w: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor, int]]:
    """(picture, weight, padding) of each of g's convolutions, without modulation."""
    found, n, side = [], w.shape[0], g.features.shape[2]
    for i, spec in enumerate(g.specs):
        x = torch.randn(n, spec.in_channels, side, side, requires_grad=True)
        found.append((x, g.weights[i], spec.conv_kernel - 1))
        side = spec.out_size
    return found


class Discriminator(torch.nn.Module):
    """Pictures [N, 3, R, R] -> logits [N]: residual blocks, minibatch deviation left out."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        first = config.channels(config.resolutions[0])
        self.fromrgb = torch.nn.Conv2d(3, first, 1)
        self.blocks = torch.nn.ModuleList()
        for r in config.resolutions:
            here, below = config.channels(r), config.channels(r // 2)
            layers = [
                torch.nn.Conv2d(here, here, 3, padding=1),
                torch.nn.Conv2d(here, below, 3),
                torch.nn.Conv2d(here, below, 1),
            ]
            self.blocks.append(torch.nn.ModuleList(layers))
        width = config.channels(4)
        self.last = torch.nn.Conv2d(width, width, 3, padding=1)
        self.fc, self.out = torch.nn.Linear(width * 16, width), torch.nn.Linear(width, 1)
        self.register_buffer("blur", torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.leaky_relu(self.fromrgb(x), 0.2)
        for conv0, conv1, skip in self.blocks:
            y = skip(with_torch.upfirdn(x, self.blur, 1, 2, (1, 1), 1))
            x = F.leaky_relu(conv0(x), 0.2)
            x = with_torch.upfirdn(x, self.blur, 1, 1, (2, 2), 1)
            x = y + F.leaky_relu(F.conv2d(x, conv1.weight, conv1.bias, stride=2), 0.2)
        x = F.leaky_relu(self.last(x), 0.2)
        return self.out(F.leaky_relu(self.fc(x.flatten(1)), 0.2))[:, 0]


class Trainer:
    """Training steps: both main phases, R1, Adam, the weight average. Augmentation and blur are left out."""

    def __init__(self, g: Generator, d: Discriminator, r1_weight: float) -> None:
        self.g, self.d, self.r1_weight = g, d, r1_weight
        self.average = [p.detach().clone() for p in g.parameters()]
        self.of_g, self.of_d = (torch.optim.Adam(n.parameters(), lr=1e-6, betas=(0.0, 0.99)) for n in (g, d))

    def _move(self, optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
        parameters = optimizer.param_groups[0]["params"]
        for p, grad in zip(parameters, torch.autograd.grad(loss, parameters, allow_unused=True), strict=True):
            p.grad = grad
        optimizer.step()

    def step(self, w: torch.Tensor, real: torch.Tensor) -> None:
        """One step without R1."""
        self._move(self.of_g, F.softplus(-self.d(self.g(w))).mean())
        with torch.no_grad():
            fake = self.g(w)
        self._move(self.of_d, F.softplus(self.d(fake)).mean() + F.softplus(-self.d(real)).mean())
        torch._foreach_lerp_(self.average, list(self.g.parameters()), 0.001)

    def r1(self, real: torch.Tensor) -> None:
        """One R1 phase."""
        real = real.detach().requires_grad_()
        (slopes,) = torch.autograd.grad(self.d(real).sum(), real, create_graph=True)
        self._move(self.of_d, slopes.square().sum((1, 2, 3)).mean() * self.r1_weight)
