"""The bundled task pack: one folder an environment, found by entry point."""

from pathlib import Path

from genbench.task import TaskPack

_HERE = Path(__file__).parent

PACK = TaskPack(
    name="genbench",
    task_dirs=(_HERE / "general_points" / "tasks", _HERE / "navigation" / "tasks"),
    environments={
        "general-points": "genbench_tasks.general_points.environment:GeneralPoints",
        "general-points-vision": "genbench_tasks.general_points.vision:GeneralPointsVision",
        "general-points-recognition": "genbench_tasks.general_points.recognition:CardRecognition",
        "navigation": "genbench_tasks.navigation.environment:Navigation",
        "navigation-vision": "genbench_tasks.navigation.vision:NavigationVision",
    },
    checkpoints=_HERE / "checkpoints",
    recipes=(_HERE / "general_points" / "recipes", _HERE / "navigation" / "recipes"),
    reproductions=_HERE / "general_points" / "reproductions",
)
