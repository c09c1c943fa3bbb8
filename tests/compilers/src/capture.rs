//! A Vulkan instance for wgpu whose devices keep what their compiler says of each compute pipeline (`VK_KHR_pipeline_executable_properties`).
//!
//! wgpu makes devices and pipelines as always. Three entry points are replaced on the way: the device is created with the extension, and each
//! pipeline with the flags that make its driver keep statistics and code.

use std::ffi::{CStr, c_char, c_void};
use std::sync::{Mutex, OnceLock, PoisonError};

use ash::khr::pipeline_executable_properties as properties;
use ash::vk;

/// What a compiler says of one pipeline.
#[derive(Clone, Debug, Default)]
pub struct Compiled {
    /// Names and values of statistics, in the driver's order.
    pub statistics: Vec<(String, f64)>,
    /// Names and texts of representations: the intermediate ones, then the code.
    pub representations: Vec<(String, String)>,
}

// The functions that the replaced ones call.
static CREATE_DEVICE: OnceLock<vk::PFN_vkCreateDevice> = OnceLock::new();
static GET_DEVICE_PROC_ADDR: OnceLock<vk::PFN_vkGetDeviceProcAddr> = OnceLock::new();
static CREATE_COMPUTE_PIPELINES: OnceLock<vk::PFN_vkCreateComputePipelines> = OnceLock::new();
static LATEST: Mutex<Option<Compiled>> = Mutex::new(None);

/// What the compiler said of the pipeline that was made last, once.
pub fn latest() -> Option<Compiled> {
    LATEST.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// The instance. One a process.
///
/// # Errors
/// Why there is none, for people.
pub fn instance() -> Result<wgpu::Instance, String> {
    use wgpu::hal::vulkan::Instance;
    let said = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
    // SAFETY: the system's Vulkan loader is loaded and used as it is documented; the instance is made with the extensions that wgpu asks for.
    unsafe {
        let entry = ash::Entry::load().map_err(|error| said("the Vulkan loader", &error))?;
        let flags = wgpu::InstanceFlags::empty();
        let version = vk::API_VERSION_1_3;
        let extensions =
            Instance::desired_extensions(&entry, version, flags).map_err(|error| said("extensions of Vulkan", &error))?;
        let names: Vec<*const c_char> = extensions.iter().map(|name| name.as_ptr()).collect();
        let application = vk::ApplicationInfo::default().application_name(c"orthoformer").api_version(version);
        let info = vk::InstanceCreateInfo::default().application_info(&application).enabled_extension_names(&names);
        let plain = entry.create_instance(&info, None).map_err(|error| said("a Vulkan instance", &error))?;
        let handle = plain.handle();
        let of_loader = entry.static_fn().get_instance_proc_addr;
        let replaced = ash::Instance::load_with(|name| replacement(name, of_loader(handle, name.as_ptr())), handle);
        let thresholds = wgpu::MemoryBudgetThresholds::default();
        let instance = Instance::from_raw(entry, replaced, version, 0, None, extensions, flags, thresholds, false, None);
        let instance = instance.map_err(|error| said("wgpu's instance", &error))?;
        Ok(wgpu::Instance::from_hal::<wgpu::hal::api::Vulkan>(instance))
    }
}

/// The function that the instance calls under a name: the loader's, or one of those below, which call it.
///
/// # Safety
/// `found` is the loader's function of this name.
unsafe fn replacement(name: &CStr, found: vk::PFN_vkVoidFunction) -> *const c_void {
    let found = found.map_or(std::ptr::null(), |found| found as *const c_void);
    // SAFETY: functions of these names have these types.
    unsafe {
        if name == c"vkCreateDevice" {
            CREATE_DEVICE.get_or_init(|| std::mem::transmute::<*const c_void, vk::PFN_vkCreateDevice>(found));
            return create_device as *const c_void;
        }
        if name == c"vkGetDeviceProcAddr" {
            GET_DEVICE_PROC_ADDR.get_or_init(|| std::mem::transmute::<*const c_void, vk::PFN_vkGetDeviceProcAddr>(found));
            return get_device_proc_addr as *const c_void;
        }
    }
    found
}

/// Creates a device with the extension besides those that are asked for.
unsafe extern "system" fn create_device(
    adapter: vk::PhysicalDevice,
    info: *const vk::DeviceCreateInfo<'_>,
    allocator: *const vk::AllocationCallbacks<'_>,
    device: *mut vk::Device,
) -> vk::Result {
    let Some(create) = CREATE_DEVICE.get() else { return vk::Result::ERROR_INITIALIZATION_FAILED };
    // SAFETY: what the caller gave, with one extension and its feature ahead of the others.
    unsafe {
        let mut info = *info;
        let asked = info.enabled_extension_count as usize;
        let mut names =
            if asked > 0 { std::slice::from_raw_parts(info.pp_enabled_extension_names, asked).to_vec() } else { Vec::new() };
        names.push(properties::NAME.as_ptr());
        let mut feature = vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
        feature.p_next = info.p_next.cast_mut();
        info.p_next = (&raw const feature).cast();
        info.enabled_extension_count = names.len() as u32;
        info.pp_enabled_extension_names = names.as_ptr();
        create(adapter, &raw const info, allocator, device)
    }
}

unsafe extern "system" fn get_device_proc_addr(device: vk::Device, name: *const c_char) -> vk::PFN_vkVoidFunction {
    let get = GET_DEVICE_PROC_ADDR.get()?;
    // SAFETY: what the caller gave; the function of this name has this type.
    unsafe {
        let found = get(device, name)?;
        if CStr::from_ptr(name) != c"vkCreateComputePipelines" {
            return Some(found);
        }
        CREATE_COMPUTE_PIPELINES
            .get_or_init(|| std::mem::transmute::<unsafe extern "system" fn(), vk::PFN_vkCreateComputePipelines>(found));
        Some(std::mem::transmute::<vk::PFN_vkCreateComputePipelines, unsafe extern "system" fn()>(create_compute_pipelines))
    }
}

/// Creates pipelines that keep statistics and code, and keeps those of the first.
unsafe extern "system" fn create_compute_pipelines(
    device: vk::Device,
    cache: vk::PipelineCache,
    count: u32,
    infos: *const vk::ComputePipelineCreateInfo<'_>,
    allocator: *const vk::AllocationCallbacks<'_>,
    pipelines: *mut vk::Pipeline,
) -> vk::Result {
    let Some(create) = CREATE_COMPUTE_PIPELINES.get() else { return vk::Result::ERROR_INITIALIZATION_FAILED };
    // SAFETY: what the caller gave, with two flags more; there is a pipeline where that succeeds.
    unsafe {
        let mut infos = std::slice::from_raw_parts(infos, count as usize).to_vec();
        for info in &mut infos {
            info.flags |=
                vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR;
        }
        let outcome = create(device, cache, count, infos.as_ptr(), allocator, pipelines);
        if outcome == vk::Result::SUCCESS {
            *LATEST.lock().unwrap_or_else(PoisonError::into_inner) = Some(compiled(device, *pipelines));
        }
        outcome
    }
}

/// What the driver keeps of a pipeline.
///
/// # Safety
/// The pipeline is of this device, which has the extension, and was made with the flags.
unsafe fn compiled(device: vk::Device, pipeline: vk::Pipeline) -> Compiled {
    let Some(get) = GET_DEVICE_PROC_ADDR.get() else { return Compiled::default() };
    // SAFETY: the functions of the extension; every array is as long as is said, and texts end within their arrays.
    unsafe {
        let load = |name: &CStr| get(device, name.as_ptr()).map_or(std::ptr::null(), |found| found as *const c_void);
        let functions = properties::DeviceFn::load(load);
        let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline);
        let mut count = 0;
        let statistics = functions.get_pipeline_executable_statistics_khr;
        let _ = statistics(device, &raw const info, &raw mut count, std::ptr::null_mut());
        let mut found = vec![vk::PipelineExecutableStatisticKHR::default(); count as usize];
        let _ = statistics(device, &raw const info, &raw mut count, found.as_mut_ptr());
        let statistics = found.iter().map(|one| (text(&one.name), number(one))).collect();
        let texts = functions.get_pipeline_executable_internal_representations_khr;
        let mut count = 0;
        let _ = texts(device, &raw const info, &raw mut count, std::ptr::null_mut());
        let mut found = vec![vk::PipelineExecutableInternalRepresentationKHR::default(); count as usize];
        // Once for the sizes, once for the texts.
        let _ = texts(device, &raw const info, &raw mut count, found.as_mut_ptr());
        let mut bytes: Vec<Vec<u8>> = found.iter().map(|one| vec![0; one.data_size]).collect();
        for (one, bytes) in found.iter_mut().zip(&mut bytes) {
            one.p_data = bytes.as_mut_ptr().cast();
        }
        let _ = texts(device, &raw const info, &raw mut count, found.as_mut_ptr());
        let of = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned();
        let representations = found.iter().zip(&bytes).map(|(one, bytes)| (text(&one.name), of(bytes))).collect();
        Compiled { statistics, representations }
    }
}

fn text(characters: &[c_char]) -> String {
    let bytes: Vec<u8> =
        characters.iter().take_while(|&&character| character != 0).map(|&character| character.cast_unsigned()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// # Safety
/// The statistic is a driver's: its value is of the kind that it names.
unsafe fn number(statistic: &vk::PipelineExecutableStatisticKHR<'_>) -> f64 {
    // SAFETY: see above.
    unsafe {
        match statistic.format {
            vk::PipelineExecutableStatisticFormatKHR::BOOL32 => f64::from(statistic.value.b32),
            vk::PipelineExecutableStatisticFormatKHR::INT64 => statistic.value.i64 as f64,
            vk::PipelineExecutableStatisticFormatKHR::UINT64 => statistic.value.u64 as f64,
            _ => statistic.value.f64,
        }
    }
}
