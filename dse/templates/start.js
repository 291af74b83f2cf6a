// Everything is drawn once all panels listen.
change({ selected: D.knee === null ? -1 : D.knee });
document.documentElement.dataset.ready = "yes";
