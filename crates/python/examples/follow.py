"""Follows a point through a clip and shows the picture. Read it cell by cell, as a notebook: `# %%` begins one.

Run it at the root of the repository; it needs Pillow beside the package, and writes follow.gif.
"""

# %% A network, and the engine that it runs on
import orthoformer as of
from PIL import Image

net = of.load("crates/models/assets/ball.safetensors", labels="crates/models/assets/ball_classes.json")
print(net)

# %% What happens in the clip
for guess in net.classify("tests/clips/ball.gif", top=3):
    print(f"{guess.probability:6.1%}  {guess.label}")

# %% Where the point goes: with trajectory attention, the attention of its patch is its trajectory
found = net.attend("tests/clips/ball.gif", at=(52, 20))
for step, ((x, y), share) in enumerate(zip(found.centroids, found.shares, strict=True)):
    print(f"frame {found.frames[step * len(found.frames) // len(found.shares)]:2}: {x:4.1f},{y:4.1f}, share {share:.2f}")

# %% The picture: frames with heat, a ring round the centroid and a cross on the peak
frames = [Image.fromarray(picture) for picture in found.overlay]
frames[0].save("follow.gif", save_all=True, append_images=frames[1:], duration=150, loop=0)
print("wrote follow.gif")
frames[0]
