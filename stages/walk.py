"""The latent walk: a closed loop through the pictures of some seeds, as GIF, MP4 and a still strip."""

import numpy as np

from sg3x.config import stage_params
from sg3x.drawing.pictures import draw
from sg3x.networks.store import load_generator
from sg3x.render.images import save_png
from sg3x.render.video import strip, write_gif, write_mp4
from sg3x.render.walk import walk_keyframes, walk_latents
from stages.common import MODEL, RESULTS, main, progress, set_up_jax


def walk() -> None:
    params = stage_params("walk").walk
    set_up_jax()
    generator = load_generator(MODEL)
    keyframes = walk_keyframes(generator, params.seeds, truncation_psi=params.truncation_psi)
    ws = walk_latents(keyframes, params.frames, w_avg=generator.w_avg)
    report = progress("frames drawn")
    frames: list[np.ndarray] = []
    for frame in draw(generator, ws, batch=params.batch_size):
        frames.append(frame)
        report(len(frames), params.frames)
    write_gif(RESULTS / "walk.gif", frames, fps=params.fps, enlarge_to=params.size)
    write_mp4(RESULTS / "walk.mp4", frames, fps=params.fps, enlarge_to=params.size)
    save_png(RESULTS / "walk.png", strip(frames, params.strip_frames, enlarge_to=params.size))
    print(f"{RESULTS}/walk.gif, walk.mp4 and walk.png: {params.frames} frames through seeds {list(params.seeds)}")


if __name__ == "__main__":
    main(walk)
