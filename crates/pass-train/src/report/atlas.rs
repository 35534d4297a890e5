//! The atlas: every cluster with its size, its class and the pictures nearest to its centroid, their
//! pixel labels drawn over them.

use std::cmp::Reverse;

use html_report::{Axis, LineChart, Series, escape, jpeg_uri, overlay, percent, thumbnail};
use image::RgbImage;
use luss_metrics::{IGNORE, LabelMask, Matching, OTHER};

use super::sheet::chip;

/// The report itself holds the atlas of up to this many clusters; a larger one is a page of its own.
pub(super) const MOST_IN_REPORT: usize = 50;

/// The box of a picture in pixels, and its quality: photographs take about 5.5 KB each in the page,
/// the 5514 of 919 clusters 30 MB.
const BOX: [u32; 2] = [160, 120];
const JPEG_QUALITY: u8 = 75;

/// What the atlas shows.
#[derive(Debug, Clone, Default)]
pub struct Atlas {
    /// Numbers of the clustering as a whole.
    pub facts: Vec<(String, String)>,
    /// The clusters, in any order.
    pub clusters: Vec<AtlasCluster>,
}

/// One cluster of the atlas.
#[derive(Debug, Clone)]
pub struct AtlasCluster {
    /// Its id in label masks, from 1.
    pub id: u16,
    /// The class it was matched to: `Some(OTHER)` when it stayed alone, `None` where nothing was
    /// matched.
    pub class: Option<u16>,
    /// Training pictures in it.
    pub size: usize,
    /// Their mean squared distance to the centroid.
    pub mean_squared_distance: Option<f64>,
    /// The folder that most of them lie in, and their share, `0..=1`.
    pub folder: Option<(String, f64)>,
    /// Pictures near the centroid, the nearest first.
    pub pictures: Vec<AtlasPicture>,
}

/// A picture as the page holds it: small, with its labels drawn over it.
#[derive(Debug, Clone)]
pub struct AtlasPicture {
    key: String,
    squared_distance: f64,
    size: (u32, u32),
    uri: String,
}

impl AtlasPicture {
    /// Draws the labels of a picture over a thumbnail of it. The mask is stretched over the whole
    /// picture; `squared_distance` is that to the centroid.
    ///
    /// # Panics
    ///
    /// When the picture has no pixels.
    pub fn new(key: &str, picture: &RgbImage, labels: &LabelMask, squared_distance: f64) -> Self {
        let drawn = overlay(&thumbnail(picture, BOX), labels);
        Self {
            key: key.to_owned(),
            squared_distance,
            size: drawn.dimensions(),
            uri: jpeg_uri(&drawn, JPEG_QUALITY),
        }
    }
}

/// The ids of a mask as the atlas draws them: each cluster as its class, and those without a class
/// as [`IGNORE`], so that they stay visible.
///
/// # Panics
///
/// For an id that the matching does not know.
pub fn drawn_labels(mask: &LabelMask, matching: &Matching) -> LabelMask {
    let drawn = |&id: &u16| match (id, matching.class_of(id)) {
        (OTHER, _) => OTHER,
        (_, OTHER) => IGNORE,
        (_, class) => class,
    };
    let labels = mask.labels().iter().map(drawn).collect();
    LabelMask::new(mask.width(), mask.height(), labels).expect("as many labels as before")
}

/// What the report says about the clusters: the numbers, and all of them or where they are.
pub(super) fn summary(atlas: &Atlas, class_names: &[String], page: &str) -> String {
    let facts = html_report::summary(&atlas.facts);
    let clusters = if has_own_page(atlas) {
        format!(
            "<div class=\"charts\">\n{}</div>\n<p class=\"note\"><a href=\"{page}\">All {} clusters with their images</a>, in \
             {page} beside this file.</p>\n",
            size_chart(atlas),
            atlas.clusters.len()
        )
    } else {
        cards(atlas, class_names)
    };
    facts + &clusters
}

/// Whether there are too many clusters for the report.
pub(super) fn has_own_page(atlas: &Atlas) -> bool {
    atlas.clusters.len() > MOST_IN_REPORT
}

/// The sections of an atlas that is a page of its own.
pub(super) fn own_page(atlas: &Atlas, class_names: &[String]) -> [String; 3] {
    [
        html_report::summary(&atlas.facts),
        html_report::section(
            "All clusters, the largest first",
            &index(atlas, class_names),
        ),
        html_report::section("Images", &cards(atlas, class_names)),
    ]
}

fn size_chart(atlas: &Atlas) -> String {
    let clusters = by_size(atlas);
    let pictures: usize = clusters.iter().map(|cluster| cluster.size).sum();
    let mean = pictures as f64 / clusters.len().max(1) as f64;
    let ranks = || (1..=clusters.len()).map(|rank| rank as f64);
    let sizes = clusters.iter().map(|cluster| cluster.size as f64);
    let series = [
        ("clusters, the largest first", ranks().zip(sizes).collect()),
        ("equal sizes", ranks().map(|rank| (rank, mean)).collect()),
    ];
    let series = series.map(|(name, points)| Series {
        name: name.to_owned(),
        points,
    });
    html_report::figure(&LineChart {
        title: "Sizes of the clusters",
        x_label: "rank of the cluster",
        y_label: "training images",
        y_axis: Axis::Linear,
        series: &series,
        mark: None,
    })
}

fn by_size(atlas: &Atlas) -> Vec<&AtlasCluster> {
    let mut clusters: Vec<&AtlasCluster> = atlas.clusters.iter().collect();
    clusters.sort_by_key(|cluster| (Reverse(cluster.size), cluster.id));
    clusters
}

fn index(atlas: &Atlas, class_names: &[String]) -> String {
    let entry = |cluster: &&AtlasCluster| {
        format!(
            "<a href=\"#cluster-{0}\"><b>{0}</b> {1}<span>{2}</span></a>\n",
            cluster.id,
            named(cluster, class_names),
            cluster.size
        )
    };
    let entries: String = by_size(atlas).iter().map(entry).collect();
    format!("<nav class=\"index\">\n{entries}</nav>\n")
}

fn cards(atlas: &Atlas, class_names: &[String]) -> String {
    let pictures: usize = atlas.clusters.iter().map(|cluster| cluster.size).sum();
    let mut clusters: Vec<&AtlasCluster> = atlas.clusters.iter().collect();
    clusters.sort_by_key(|cluster| cluster.id);
    let note = if clusters.iter().any(|cluster| cluster.class.is_some()) {
        "The training images nearest to each centroid under their pseudo labels, in the colours \
         of the matched classes. Hatched: a cluster without a class. Bare: background."
    } else {
        "The training images nearest to each centroid under their pseudo labels, in the colours \
         of the clusters. Bare: background."
    };
    let cards: String = clusters
        .iter()
        .map(|cluster| card(cluster, pictures, class_names))
        .collect();
    format!("<p class=\"note\">{note}</p>\n<div class=\"atlas\">\n{cards}</div>\n")
}

fn card(cluster: &AtlasCluster, pictures: usize, class_names: &[String]) -> String {
    let share = cluster.size as f64 / pictures.max(1) as f64;
    let mut facts = vec![format!("{} images, {} %", cluster.size, percent(share, 1))];
    if let Some(distance) = cluster.mean_squared_distance {
        facts.push(format!("mean squared distance {distance:.4}"));
    }
    if let Some((folder, share)) = &cluster.folder {
        facts.push(format!("{} % in {}", percent(*share, 0), escape(folder)));
    }
    let facts: String = facts
        .iter()
        .map(|fact| format!("<li>{fact}</li>"))
        .collect();
    let tiles: String = cluster.pictures.iter().map(tile).collect();
    format!(
        "<article class=\"card cluster\" id=\"cluster-{0}\"><header><h3>Cluster {0}</h3>{1}\
         <ul>{facts}</ul></header>\n<div class=\"strip\">{tiles}</div></article>\n",
        cluster.id,
        named(cluster, class_names)
    )
}

fn tile(picture: &AtlasPicture) -> String {
    let (width, height) = picture.size;
    let key = escape(&picture.key);
    let name = picture.key.rsplit('/').next().unwrap_or_default();
    format!(
        "<figure title=\"{key}, squared distance {:.4}\"><div class=\"frame\">\
         <img loading=\"lazy\" decoding=\"async\" alt=\"{key}\" width=\"{width}\" height=\"{height}\" \
         src=\"{}\"></div><figcaption>{}</figcaption></figure>\n",
        picture.squared_distance,
        picture.uri,
        escape(name)
    )
}

/// The class of a cluster as a coloured chip; the colour alone where nothing was matched.
fn named(cluster: &AtlasCluster, class_names: &[String]) -> String {
    match cluster.class {
        Some(OTHER) => chip(IGNORE, &[]).replace("ignore", "no class"),
        Some(class) => chip(class, class_names),
        // Its own number, which stands beside it already.
        None => chip(cluster.id, &[]).replace(&format!("category {}", cluster.id), ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn cluster(id: u16, class: Option<u16>, size: usize) -> AtlasCluster {
        let picture = RgbImage::from_pixel(40, 30, Rgb([90, 120, 200]));
        let labels = LabelMask::new(4, 3, vec![id; 12]).unwrap();
        AtlasCluster {
            id,
            class,
            size,
            mean_squared_distance: (size > 0).then_some(0.25),
            folder: Some(("<cats>".into(), 0.75)),
            pictures: vec![AtlasPicture::new(
                "<cats>/tom & co",
                &picture,
                &labels,
                0.125,
            )],
        }
    }

    fn atlas(clusters: u16) -> Atlas {
        Atlas {
            facts: vec![("inertia".into(), "12.5".into())],
            clusters: (1..=clusters)
                .map(|id| cluster(id, Some(id % 3), usize::from(id)))
                .collect(),
        }
    }

    #[test]
    fn few_clusters_are_in_the_report_and_many_on_a_page_of_their_own() {
        let few = summary(&atlas(50), &[], "atlas.html");
        assert_eq!(few.matches("<img").count(), 50);
        assert!(!few.contains("href"));
        let many = summary(&atlas(51), &[], "atlas.html");
        assert_eq!(many.matches("<img").count(), 0);
        assert!(
            many.contains("<a href=\"atlas.html\">All 51 clusters"),
            "{many}"
        );
        let page = own_page(&atlas(51), &[]).concat();
        assert_eq!(page.matches("<img loading=\"lazy\"").count(), 51);
        for id in 1..=51 {
            assert!(page.contains(&format!("href=\"#cluster-{id}\"")));
            assert!(page.contains(&format!("id=\"cluster-{id}\"")));
        }
    }

    #[test]
    fn the_index_begins_with_the_largest_cluster() {
        let index = index(&atlas(3), &[]);
        let place = |id: u16| index.find(&format!("#cluster-{id}\"")).unwrap();
        assert!(place(3) < place(2) && place(2) < place(1));
    }

    #[test]
    fn a_card_names_size_share_class_and_folder_and_escapes_them() {
        let names = ["<cat>".to_owned()];
        let card = card(&cluster(7, Some(1), 5), 20, &names);
        for text in [
            "Cluster 7",
            "5 images, 25.0 %",
            "0.2500",
            "&lt;cat&gt;",
            "75 % in &lt;cats&gt;",
            "tom &amp; co",
        ] {
            assert!(card.contains(text), "no {text} in {card}");
        }
        assert!(!card.contains("<cat"));
    }

    #[test]
    fn a_cluster_without_class_says_so_and_without_matching_shows_its_colour() {
        assert!(named(&cluster(2, Some(OTHER), 1), &[]).contains("no class"));
        let alone = named(&cluster(2, None, 1), &[]);
        assert!(
            alone.contains("swatch") && !alone.contains("category"),
            "{alone}"
        );
    }

    #[test]
    fn an_empty_cluster_has_a_card_without_pictures() {
        let empty = AtlasCluster {
            pictures: Vec::new(),
            folder: None,
            ..cluster(4, None, 0)
        };
        let card = card(&empty, 20, &[]);
        assert!(card.contains("0 images, 0.0 %") && !card.contains("<img"));
        assert!(!card.contains("distance"));
    }

    #[test]
    fn clusters_are_drawn_as_their_classes_and_those_without_one_stay_visible() {
        let matching = Matching::from_json(r#"{"1": 2, "2": 1, "3": 0}"#).unwrap();
        let mask = LabelMask::new(2, 2, vec![0, 1, 2, 3]).unwrap();
        assert_eq!(drawn_labels(&mask, &matching).labels(), [0, 2, 1, IGNORE]);
    }
}
