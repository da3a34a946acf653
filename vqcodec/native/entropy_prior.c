/* The functions hyper, open_pass and predict: steps of the integer prior on arrays (height, width, channels). */
#include "module.h"

#include "prior.h"

enum { MOST_SLICES = 32, LONGEST_SIDE = 1 << 14 };

static int misfit(const char *what)
{
    PyErr_Format(PyExc_ValueError, "%s do not fit the layers", what);
    return -1;
}

static int check(int level, Py_ssize_t height, Py_ssize_t width)
{
    if (level >= 0 && level <= 64 && height <= LONGEST_SIDE && width <= LONGEST_SIDE)
        return 0;
    PyErr_SetString(PyExc_ValueError, "a level is 0 to 64, and a grid has at most 2**14 rows and columns");
    return -1;
}

/* None, or what the exception says. */
static PyObject *end(vq_views *arrays, int failed)
{
    vq_views_end(arrays);
    if (failed == -2)
        PyErr_SetString(PyExc_IndexError, "an index is out of range");
    else if (failed && !PyErr_Occurred())
        PyErr_NoMemory();
    return failed ? NULL : Py_NewRef(Py_None);
}

static PyObject *hyper(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *objects[3], *inputs, *outputs;
    vq_layer *layers[3];
    vq_views arrays = {.count = 0};
    int level, threads;
    if (!PyArg_ParseTuple(args, "OOOOiiO", &objects[0], &objects[1], &objects[2], &inputs, &level, &threads,
                          &outputs))
        return NULL;
    for (int i = 0; i < 3; i++)
        if ((layers[i] = vq_layer_of(objects[i])) == NULL)
            return NULL;
    if (layers[0]->signed_inputs != layers[0]->inputs || layers[1]->signed_inputs || layers[2]->signed_inputs ||
        layers[1]->inputs != layers[0]->outputs || layers[1]->outputs != 4 * layers[2]->inputs ||
        layers[1]->kernel != 1)
        return end(&arrays, misfit("layers"));
    Py_buffer *features, *z = vq_view(&arrays, inputs, VQ_S8, "z", 3, VQ_SHAPE(VQ_ANY, VQ_ANY, layers[0]->inputs));
    if (z == NULL || check(level, 2 * z->shape[0], 2 * z->shape[1]) < 0)
        return end(&arrays, -1);
    int height = (int)z->shape[0], width = (int)z->shape[1], failed;
    features = vq_view_output(&arrays, outputs, VQ_U8, "features", 3,
                              VQ_SHAPE(2 * height, 2 * width, layers[2]->outputs));
    if (features == NULL)
        return end(&arrays, -1);
    Py_BEGIN_ALLOW_THREADS
    failed = vq_prior_hyper(layers, z->buf, height, width, level, threads, features->buf);
    Py_END_ALLOW_THREADS
    return end(&arrays, failed);
}

/* What the tuple of maps, and the arrays of a pass, are; -1 with an exception set. */
static int read_opening(vq_opening *opening, vq_phase *phases, vq_views *arrays, PyObject *maps,
                        PyObject *const objects[3])
{
    Py_buffer *features = vq_view(arrays, objects[0], VQ_U8, "features", 3, VQ_SHAPE(VQ_ANY, VQ_ANY, VQ_ANY));
    if (features == NULL || PyTuple_GET_SIZE(maps) > VQ_MAPS)
        return features == NULL ? -1 : misfit("maps");
    opening->maps = (int)PyTuple_GET_SIZE(maps);
    Py_buffer *linear = vq_view(arrays, objects[1], VQ_S16, "linear", 4, VQ_SHAPE(VQ_ANY, opening->maps, 3, 3));
    Py_buffer *compand = linear == NULL ? NULL : vq_view(arrays, objects[2], VQ_U8, "compand", 1, VQ_SHAPE(VQ_ANY));
    if (compand == NULL)
        return -1;
    int seen = opening->enter->signed_inputs;
    opening->seen = opening->maps > 0 ? seen / opening->maps : 0;
    if (opening->seen * opening->maps != seen || seen + features->shape[2] != opening->enter->inputs ||
        compand->shape[0] < 1 || compand->shape[0] > 1 << 20 || linear->shape[0] > 1 << 16)
        return misfit("maps, features or linear");
    opening->features = features->buf;
    opening->height = (int)features->shape[0];
    opening->width = (int)features->shape[1];
    opening->feature_channels = (int)features->shape[2];
    opening->linear = linear->buf;
    opening->local_channels = opening->maps > 0 ? (int)linear->shape[0] : 0;
    opening->compand = (vq_compand){compand->buf, (uint32_t)compand->shape[0]};
    for (int i = 0; i < opening->maps; i++) {
        Py_buffer *map = vq_view_strided(arrays, PyTuple_GET_ITEM(maps, i), VQ_S32, "maps", 0, 3,
                                         VQ_SHAPE(features->shape[0], features->shape[1], VQ_ANY));
        if (map == NULL)
            return -1;
        if (map->shape[2] < opening->seen || map->shape[2] < opening->local_channels)
            return misfit("channels of maps");
        phases[i] = (vq_phase){map->buf, map->strides[0], map->strides[1]};
    }
    opening->phases = phases;
    return 0;
}

static PyObject *open_pass(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *enter, *middle, *maps, *objects[3], *outputs, *local_outputs;
    vq_opening opening = {.maps = 0};
    vq_grid grid;
    vq_phase phases[VQ_MAPS];
    vq_views arrays = {.count = 0};
    int level, threads, failed;
    if (!PyArg_ParseTuple(args, "OOO!OOO(iii)iiOO", &enter, &middle, &PyTuple_Type, &maps, &objects[0], &objects[1],
                          &objects[2], &grid.top, &grid.left, &grid.step, &level, &threads, &outputs,
                          &local_outputs) ||
        (opening.enter = vq_layer_of(enter)) == NULL || (opening.middle = vq_layer_of(middle)) == NULL)
        return NULL;
    if (grid.step < 1 || grid.step > 2 || grid.top < 0 || grid.top >= grid.step || grid.left < 0 ||
        grid.left >= grid.step || opening.enter->kernel != 3 || opening.middle->kernel != 1 ||
        opening.middle->signed_inputs || opening.middle->inputs != opening.enter->outputs)
        return end(&arrays, misfit("grid or layers"));
    if (read_opening(&opening, phases, &arrays, maps, objects) < 0 || check(level, opening.height, opening.width) < 0)
        return end(&arrays, -1);
    Py_ssize_t rows = (opening.height - grid.top + grid.step - 1) / grid.step;
    Py_ssize_t columns = (opening.width - grid.left + grid.step - 1) / grid.step;
    Py_buffer *local, *hidden = vq_view_output(&arrays, outputs, VQ_U8, "hidden", 3,
                                               VQ_SHAPE(rows, columns, opening.middle->outputs));
    if (hidden == NULL || (local = vq_view_output(&arrays, local_outputs, VQ_S32, "local", 3,
                                                  VQ_SHAPE(rows, columns, opening.local_channels))) == NULL)
        return end(&arrays, -1);
    Py_BEGIN_ALLOW_THREADS
    failed = vq_prior_open(&opening, grid, level, threads, hidden->buf, local->buf);
    Py_END_ALLOW_THREADS
    return end(&arrays, failed);
}

/* The layers look and tell, and the slices that they look at; -1 with an exception set. */
static int read_seen(vq_prediction *p, vq_views *arrays, PyObject *look, PyObject *tell, PyObject *seen,
                     const int8_t **data, int *channels)
{
    if ((p->look = vq_layer_of(look)) == NULL || (p->tell = vq_layer_of(tell)) == NULL)
        return -1;
    int hidden = p->leave->inputs, total = 0;
    if (PyTuple_GET_SIZE(seen) > MOST_SLICES)
        return misfit("slices");
    p->seen_count = (int)PyTuple_GET_SIZE(seen);
    for (int i = 0; i < p->seen_count; i++) {
        Py_buffer *view = vq_view(arrays, PyTuple_GET_ITEM(seen, i), VQ_S8, "seen", 3,
                                  VQ_SHAPE(p->height, p->width, VQ_ANY));
        if (view == NULL)
            return -1;
        if (view->shape[2] > p->look->inputs - total)
            return misfit("slices");
        data[i] = view->buf;
        total += channels[i] = (int)view->shape[2];
    }
    p->seen = data;
    p->seen_channels = channels;
    if (p->look->kernel != 1 || p->tell->kernel != 1 || p->look->signed_inputs != total ||
        p->look->inputs != total + hidden || p->tell->signed_inputs || p->tell->inputs != p->look->outputs ||
        p->tell->outputs != hidden)
        return misfit("slices");
    return 0;
}

static int read_bins(PyObject *bins, int *numbers)
{
    int count = PyTuple_GET_SIZE(bins) <= VQ_NUMBERS ? (int)PyTuple_GET_SIZE(bins) : 0, all = 1;
    for (int i = 0; i < count; i++) {
        long bin = PyLong_AsLong(PyTuple_GET_ITEM(bins, i));
        if (bin < 1 || bin > (1 << 20) / all)
            return 0;
        numbers[i] = (int)bin;
        all *= (int)bin;
    }
    return count;
}

static PyObject *predict(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *look, *tell, *leave, *settled, *seen, *hidden, *local, *bins, *outputs[2];
    vq_prediction p = {.seen_count = 0};
    vq_settling settling;
    vq_views arrays = {.count = 0};
    const int8_t *data[MOST_SLICES];
    int numbers[VQ_NUMBERS], channels[MOST_SLICES], level, threads, failed;
    if (!PyArg_ParseTuple(args, "OOOOO!OOiO!iiOO", &look, &tell, &leave, &settled, &PyTuple_Type, &seen, &hidden,
                          &local, &p.local_first, &PyTuple_Type, &bins, &level, &threads, &outputs[0],
                          &outputs[1]) ||
        (p.leave = vq_layer_of(leave)) == NULL)
        return NULL;
    p.bins = numbers;
    p.numbers = read_bins(bins, numbers);
    Py_buffer *mean, *classes, *units = vq_view_output(&arrays, hidden, VQ_U8, "hidden", 3,
                                                       VQ_SHAPE(VQ_ANY, VQ_ANY, p.leave->inputs));
    if (units == NULL || check(level, units->shape[0], units->shape[1]) < 0)
        return end(&arrays, -1);
    p.height = (int)units->shape[0];
    p.width = (int)units->shape[1];
    if (p.numbers == 0 || p.leave->kernel != 1 || p.leave->signed_inputs || p.local_first < 0)
        return end(&arrays, misfit("bins"));
    if (look != Py_None && read_seen(&p, &arrays, look, tell, seen, data, channels) < 0)
        return end(&arrays, -1);
    if (settled != Py_None) {
        int height = PyTuple_Check(settled) ? vq_read_settling(&settling, &arrays, settled) : misfit("parts");
        if (height < 0 || height != p.height || settling.columns != p.width)
            return end(&arrays, PyErr_Occurred() ? -1 : misfit("slices"));
        p.settling = &settling;
    }
    const Py_ssize_t *any = VQ_SHAPE(p.height, p.width, VQ_ANY);
    mean = vq_view_output(&arrays, outputs[0], VQ_S32, "mean", 3, any);
    classes = mean == NULL ? NULL : vq_view_output(&arrays, outputs[1], VQ_S32, "classes", 3, any);
    if (classes == NULL)
        return end(&arrays, -1);
    if (mean->shape[2] > p.leave->outputs || classes->shape[2] > p.leave->outputs ||
        mean->shape[2] + classes->shape[2] * p.numbers != p.leave->outputs)
        return end(&arrays, misfit("outputs"));
    p.channels = (int)mean->shape[2];
    p.groups = (int)classes->shape[2];
    if (local != Py_None) {
        Py_buffer *near = vq_view(&arrays, local, VQ_S32, "local", 3, any);
        if (near == NULL || near->shape[2] > 1 << 16)
            return end(&arrays, near == NULL ? -1 : misfit("local"));
        p.local = near->buf;
        p.local_width = (int)near->shape[2];
    }
    Py_BEGIN_ALLOW_THREADS
    failed = vq_prior_predict(&p, level, threads, units->buf, mean->buf, classes->buf);
    Py_END_ALLOW_THREADS
    return end(&arrays, failed);
}

static PyMethodDef functions[] = {
    {"hyper", hyper, METH_VARARGS, "hyper(layer1, layer2, layer3, z, level, threads, features)"},
    {"open_pass", open_pass, METH_VARARGS,
     "open_pass(enter, middle, maps, features, linear, compand, (top, left, step), level, threads, hidden, local)"},
    {"predict", predict, METH_VARARGS,
     "predict(look, tell, leave, settled, seen, hidden, local, first, bins, level, threads, mean, classes)"},
    {NULL, NULL, 0, NULL},
};

int vq_add_prior(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
