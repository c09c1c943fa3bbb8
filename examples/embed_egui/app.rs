//! The window: the clip, and what can be changed about the attention.

use eframe::egui;
use orthoformer::ops::approximation::{Approximation, Candidates, FeatureProjection, Nystrom, Performer, Prototypes, Selection};
use orthoformer_textures::OverlayOptions;

use crate::player::Player;

/// Width and height of the window, points.
pub const WINDOW: [f32; 2] = [900.0, 480.0];
/// Points of the window for a pixel of the clip.
const ENLARGED: f32 = 2.0;
const FRAMES_PER_SECOND: f64 = 12.0;

/// How attention is computed.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Exact,
    Orthoformer,
    Nystrom,
    Performer,
}

pub struct App {
    player: Player,
    picture: egui::TextureId,
    options: OverlayOptions,
    way: Way,
    /// Landmarks, or features.
    count: u32,
    /// Of a frame of the application, milliseconds: a running mean.
    milliseconds: f64,
    trouble: Option<String>,
}

impl App {
    pub fn new(context: &eframe::CreationContext<'_>) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let state = context.wgpu_render_state.as_ref().ok_or("egui has no wgpu device")?;
        let options = OverlayOptions::default();
        let player = Player::new(&state.device, &state.queue, &options)?;
        let picture =
            state.renderer.write().register_native_texture(&state.device, &player.shown(), orthoformer::wgpu::FilterMode::Linear);
        Ok(Self { player, picture, options, way: Way::Exact, count: 32, milliseconds: 0.0, trouble: None })
    }

    /// The clip. Returns the point that was clicked, pixels of the clip.
    fn clip(&self, ui: &mut egui::Ui) -> Option<(f64, f64)> {
        let size = egui::Vec2::from(self.player.size()) * ENLARGED;
        let image = egui::Image::new((self.picture, size)).sense(egui::Sense::click());
        let response = ui.add(image);
        let clicked = response.interact_pointer_pos().filter(|_| response.clicked())?;
        let at = (clicked - response.rect.min) / ENLARGED;
        let [width, height] = self.player.size();
        Some((at.x.clamp(0.0, width - 1.0).into(), at.y.clamp(0.0, height - 1.0).into()))
    }

    /// What can be changed. Returns whether anything was.
    fn controls(&mut self, ui: &mut egui::Ui) -> bool {
        ui.heading("A point followed");
        ui.label("Click on the clip to follow what is there.");
        ui.separator();
        let slider = egui::Slider::new(&mut self.options.temperature, 0.005..=0.5).logarithmic(true).text("temperature");
        let mut changed = ui.add(slider).changed();
        for (way, name) in [
            (Way::Exact, "exact attention"),
            (Way::Orthoformer, "Orthoformer"),
            (Way::Nystrom, "Nyström"),
            (Way::Performer, "Performer"),
        ] {
            changed |= ui.radio_value(&mut self.way, way, name).changed();
        }
        let slider = egui::Slider::new(&mut self.count, 4..=128).text("landmarks or features");
        changed |= ui.add_enabled(self.way != Way::Exact, slider).changed();
        ui.separator();
        ui.label(format!("{:.1} ms a frame", self.milliseconds));
        ui.label(self.player.adapter());
        if let Some(trouble) = &self.trouble {
            ui.colored_label(egui::Color32::LIGHT_RED, trouble);
        }
        changed
    }

    fn approximation(&self) -> Approximation {
        let (count, candidates, selection) = (self.count, Candidates::QueriesAndKeys, Selection::Random { seed: 0 });
        match self.way {
            Way::Exact => Approximation::Exact,
            Way::Orthoformer => Approximation::Orthoformer(Prototypes { count, candidates, selection, per_frame: false }),
            Way::Nystrom => Approximation::Nystrom(Nystrom { landmarks: count, iterations: 6 }),
            Way::Performer => {
                Approximation::Performer(Performer { features: count, projection: FeatureProjection::Drawn { seed: 0 } })
            }
        }
    }
}

impl eframe::App for App {
    fn ui(&mut self, ui: &mut egui::Ui, _: &mut eframe::Frame) {
        let (time, seconds) = ui.input(|input| (input.time, f64::from(input.unstable_dt)));
        self.milliseconds += 0.05 * (1000.0 * seconds - self.milliseconds);
        let shown = self.player.show(time, FRAMES_PER_SECOND);
        let mut clicked = None;
        let mut changed = false;
        ui.horizontal_top(|ui| {
            clicked = self.clip(ui);
            changed = ui.vertical(|ui| self.controls(ui)).inner;
        });
        let outcome = shown.and_then(|()| {
            if changed {
                self.options.approximation = self.approximation();
                self.player.set_options(&self.options)?;
                self.trouble = None;
            }
            if let Some(point) = clicked {
                self.player.follow(point, &self.options);
                self.trouble = None;
            }
            Ok(())
        });
        if let Err(error) = outcome {
            self.trouble = Some(error.to_string());
        }
        // The clip goes on.
        ui.ctx().request_repaint();
    }
}
