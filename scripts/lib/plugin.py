# SPDX-License-Identifier: BSD-2-Clause
# plugin.py - where EAL may load a plug-in from. It refuses one whose path has a folder that all the
# world may write to; a build below /tmp is such a one, and its plug-in is copied to a better place.
import atexit
import os
import pathlib
import shutil
import stat
import tempfile


def trusted(folder):
    folder = pathlib.Path(folder).resolve()
    return all(not each.stat().st_mode & stat.S_IWOTH for each in (folder, *folder.parents))


def loadable(plugin):
    """The plug-in, or a copy of it that EAL accepts, gone when we end. None: there is no such place."""
    if trusted(plugin.parent):
        return plugin
    for place in ("/run", os.environ.get("XDG_RUNTIME_DIR"), os.environ.get("HOME")):
        if place and os.path.isdir(place) and os.access(place, os.W_OK) and trusted(place):
            folder = tempfile.mkdtemp(prefix="umbuf-plugin-", dir=place)
            atexit.register(shutil.rmtree, folder, True)
            return pathlib.Path(shutil.copy(plugin, folder))
    return None
